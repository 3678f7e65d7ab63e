//! The routes, and their description as OpenAPI 3.1, made from the same handlers.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::{self, Document, FieldError};
use crate::{
    accounts, cash, clock, customers, entries, events, health, holds, metrics, pages, payments, rights, sign_in,
    statement, trial_balance, undo, users,
};

/// The name of the security scheme and of the answer that every route can give.
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Kassa",
        description = "The interface of a bank's transaction server. Amounts are decimal strings with their currency, \
                       times RFC 3339 in UTC. Every write takes an Idempotency-Key; every problem is an RFC 9457 \
                       document whose `type` is the address of a page that explains it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Document, FieldError, statement::Format))
)]
struct Base;

/// The description of the interface.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().1
}

/// All routes with their description.
pub(crate) fn routes() -> (axum::Router<App>, OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(pages::home))
        .routes(routes!(pages::style))
        .routes(routes!(pages::explain))
        .routes(routes!(describe))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sign_in::me))
        .routes(routes!(customers::add_customer, customers::list_customers))
        .routes(routes!(customers::show_customer))
        .routes(routes!(users::add_user, users::list_users))
        .routes(routes!(accounts::open_account, accounts::list_accounts))
        .routes(routes!(accounts::show_account))
        .routes(routes!(accounts::balance))
        .routes(routes!(accounts::set_status))
        .routes(routes!(accounts::set_overdraft))
        .routes(routes!(entries::list_entries))
        .routes(routes!(statement::statement))
        .routes(routes!(rights::grant, rights::revoke))
        .routes(routes!(rights::list_rights))
        .routes(routes!(payments::pay))
        .routes(routes!(payments::show_payment))
        .routes(routes!(undo::refund))
        .routes(routes!(undo::reverse))
        .routes(routes!(holds::place_hold))
        .routes(routes!(holds::show_hold))
        .routes(routes!(holds::list_holds))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::void))
        .routes(routes!(events::events))
        .routes(routes!(cash::deposit))
        .routes(routes!(cash::withdraw))
        .routes(routes!(trial_balance::trial_balance))
        .routes(routes!(clock::confirm_clock))
        .split_for_parts();
    complete(&mut description);
    (router, description)
}

/// The description of the interface, as OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = "Pages", security(()),
    responses((status = 200, description = "The description", body = Object, content_type = "application/json")),
)]
async fn describe(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.description.clone()).into_response()
}

/// Adds what holds for every route: who may ask, and that a problem may be the answer.
fn complete(description: &mut OpenApi) {
    description.security = Some(vec![SecurityRequirement::new::<_, _, &str>(BEARER, [])]);
    let components = description.components.get_or_insert_default();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("The token of a session, from POST /v1/sign-in".to_owned());
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components.responses.insert(PROBLEM.to_owned(), problem_response().into());
    if let Some(RefOr::T(Schema::Object(document))) = components.schemas.get_mut(Document::name().as_ref())
        && let Some(RefOr::T(Schema::Object(kind))) = document.properties.get_mut("type")
    {
        list_kinds(kind);
    }
    for item in description.paths.paths.values_mut() {
        for operation in operations(item) {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            operation.responses.responses.insert("default".to_owned(), problem);
        }
    }
}

fn problem_response() -> Described {
    let schema = Ref::from_schema_name(Document::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description("A problem").content("application/problem+json", content).build()
}

/// Every kind of problem, as the values that `type` can have.
fn list_kinds(kind: &mut Object) {
    let kinds = problem::slugs().map(|(slug, _)| format!("/problems/{slug}").into());
    kind.enum_values = Some(kinds.collect());
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}
