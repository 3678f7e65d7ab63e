//! The pages for people: what this is, and what each kind of problem means. Made here, without scripts, and allowed to
//! load nothing but their own style sheet. The documentation is in `docs`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::description::docs::{code, pretty, said};
use crate::description::strings;
use crate::extract::Path;
use crate::problem::{self, Kind, Problem};

/// Content security policy of the pages: they load nothing but the style sheet.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The style sheet.
const STYLE: &str = include_str!("style.css");

/// Gives the style sheet of the pages.
///
/// The pages load nothing else.
#[utoipa::path(
    operation_id = "style_sheet",
    get, path = "/style.css", tag = "Pages", security(()),
    responses((status = 200, description = "The style sheet", body = strings::PlainText, content_type = "text/css")),
)]
pub(crate) async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, STYLE).into_response()
}

/// Says what this server is.
///
/// A page for people: the bank's name, and where to go on.
#[utoipa::path(
    get, path = "/", tag = "Pages", security(()),
    responses((status = 200, description = "A page", body = strings::Html, content_type = "text/html")),
    extensions(("x-refusals" = json!(["stopping", "unavailable"]))),
)]
pub(crate) async fn home(State(app): State<App>) -> Result<Response, Problem> {
    let bank = app.engine().read(|state| state.founding().map(|founding| founding.name.clone())).await?;
    let bank = escaped(bank.as_deref().unwrap_or("A bank to be"));
    let body = format!(
        "<h1>{bank}</h1>\n\
         <p class=\"lead\">This is the bank's transaction server. Its customers' applications and the bank's own talk \
         to it under <code>/v1</code>.</p>\n\
         <ul class=\"plain\">\n\
         <li><a href=\"/docs\">Documentation</a>: every request, answer and refusal, with examples</li>\n\
         <li><a href=\"/docs/guide\">Guide</a>: from nothing to the first refund in ten minutes</li>\n\
         <li><a href=\"/openapi.json\">openapi.json</a>: the same for programs, as OpenAPI 3.1</li>\n\
         <li><a href=\"/health/ready\">Health</a>: whether it can serve</li>\n\
         <li><a href=\"/metrics\">Metrics</a>: what it counts, for Prometheus</li>\n\
         </ul>\n\
         <footer>Kassa {}</footer>",
        env!("CARGO_PKG_VERSION")
    );
    Ok(page(&bank, &body))
}

/// Explains a kind of problem.
///
/// A page for people: what happened, and what to do about it. The `type` of every problem document leads here.
#[utoipa::path(
    operation_id = "explain_problem",
    get, path = "/problems/{slug}", tag = "Pages", security(()),
    params(("slug" = strings::Slug, Path, description = "The last part of a problem's type")),
    responses((status = 200, description = "A page", body = strings::Html, content_type = "text/html")),
)]
pub(crate) async fn explain(State(app): State<App>, Path(slug): Path<String>) -> Result<Response, Problem> {
    let known = problem::slugs().find(|(known, _)| *known == slug);
    let (slug, advice) = known.ok_or_else(|| Problem::of(Kind::NotFound))?;
    let example = Problem::named(slug).ok_or_else(|| Problem::of(Kind::NotFound))?;
    let (title, status) = (escaped(&problem::title(slug)), example.status());
    let told = example.document();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let body = format!(
        "<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n\
         <h2>What to do</h2>\n<p>{}</p>\n\
         <h2>What it looks like</h2>\n\
         <p>The answer has the status {status} {reason} and is a problem document (RFC 9457). Its <code>type</code> never \
         changes; its <code>detail</code> says what was wrong with the one request.</p>\n{}\
         <h2>Where it comes from</h2>\n{}\n\
         <footer><a href=\"/docs/problems\">All problems</a> · <a href=\"/docs\">Documentation</a></footer>",
        escaped(&sentence(told.detail())),
        said(advice),
        code(&pretty(&serde_json::to_value(&told).map_err(|error| Problem::failed(&error))?)),
        app.docs.given_by(slug)
    );
    Ok(page(&title, &body))
}

/// Words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A whole page. Title and body are HTML already.
fn page(title: &str, body: &str) -> Response {
    answer(Bytes::from(document(title, &format!("<main>\n{body}\n</main>"))))
}

/// A whole document in HTML. Title and body are HTML already.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n{body}\n</html>\n"
    )
}

/// A document as an answer.
pub(crate) fn answer(html: Bytes) -> Response {
    let policy: [(HeaderName, HeaderValue); 1] = [(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))];
    (policy, Html(html)).into_response()
}

/// Text as HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
