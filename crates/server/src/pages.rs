//! The few pages for people: what this is, and what each kind of problem means. Made here, without scripts, and allowed
//! to load nothing but their own style sheet.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::extract::Path;
use crate::problem::{self, Kind, Problem};
use crate::strings;

/// What the pages may load: nothing but the style sheet.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The style sheet.
const STYLE: &str = "\
:root{color-scheme:light dark}
body{max-width:42rem;margin:12vh auto 4rem;padding:0 1.5rem;font:1.0625rem/1.6 system-ui,sans-serif}
h1{font-size:2rem;line-height:1.2;margin:0 0 .5rem}
p.lead{font-size:1.2rem;margin-top:0}
ul{padding:0;list-style:none;margin:2rem 0}
li{border-top:1px solid color-mix(in srgb,currentColor 20%,transparent);padding:.75rem 0}
a{color:light-dark(#0b57d0,#8ab4f8);text-underline-offset:.2em}
a:focus-visible{outline:3px solid;outline-offset:3px}
code{font-family:ui-monospace,monospace}
footer{margin-top:3rem;font-size:.9375rem}
";

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
    let bank = app.engine.read(|state| state.founding().map(|founding| founding.name.clone())).await?;
    let bank = escaped(bank.as_deref().unwrap_or("A bank to be"));
    let body = format!(
        "<h1>{bank}</h1>\n\
         <p class=\"lead\">This is the bank's transaction server. Its customers' applications and the bank's own talk \
         to it under <code>/v1</code>.</p>\n\
         <ul>\n\
         <li><a href=\"/openapi.json\">The interface</a>: every request and answer, as OpenAPI 3.1</li>\n\
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
pub(crate) async fn explain(Path(slug): Path<String>) -> Result<Response, Problem> {
    let known = problem::slugs().find(|(known, _)| *known == slug);
    let (slug, advice) = known.ok_or_else(|| Problem::of(Kind::NotFound))?;
    let title = escaped(&problem::title(slug));
    let body = format!(
        "<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n\
         <p>This page explains the problem type <code>/problems/{slug}</code>. The answer that led here says in \
         <code>detail</code> what was wrong with the one request.</p>\n\
         <footer><a href=\"/\">Kassa</a></footer>",
        escaped(advice)
    );
    Ok(page(&title, &body))
}

/// A whole page. Title and body are HTML already.
fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<main>\n{body}\n</main>\n</html>\n"
    );
    let policy: [(HeaderName, HeaderValue); 1] = [(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))];
    (policy, Html(html)).into_response()
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
