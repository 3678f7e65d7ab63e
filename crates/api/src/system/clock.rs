//! An operator's word that the clock is right after it jumped.

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::extract::Token;
use crate::problem::Problem;

/// Confirms the clock, so that writing goes on.
///
/// For operators. Writing stops when the clock jumps forward by more than a minute. Look at the clock first: a wrong
/// time can't be taken back.
#[utoipa::path(
    post, path = "/v1/clock/confirm", tag = "Operation",
    responses((status = 204, description = "Writing goes on")),
    extensions(("x-refusals" = json!(["not-allowed"]))),
)]
pub(crate) async fn confirm_clock(State(app): State<App>, token: Token) -> Result<StatusCode, Problem> {
    let (who, ()) = app.prepare(token, |_, who| Ok(who.may_ever(bank::Action::ConfirmClock)?))?;
    app.engine().confirm_clock().await?;
    tracing::warn!(user = who.caller.user.0, "an operator confirmed the clock");
    Ok(StatusCode::NO_CONTENT)
}
