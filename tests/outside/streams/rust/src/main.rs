//! reqwest-eventsource 0.6 as its users use it, with JSON parsed from what it is given. Prints what it is told, a line each.

use futures_util::StreamExt;
use reqwest_eventsource::{Error, Event, EventSource};
use serde_json::{Value, json};

fn main() {
    let told =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| runtime.block_on(listen()));
    if let Err(error) = told {
        println!("{}", json!({ "thrown": error.to_string() }));
    }
}

async fn listen() {
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let request = reqwest::Client::new()
        .get(format!("{}/v1/events", of("URL")))
        .bearer_auth(of("TOKEN"))
        // An id that was kept from before. Later ones are sent beside it, in a header of their own.
        .header("Last-Event-ID", of("START"));
    let mut source = EventSource::new(request).expect("a request without a body can be made again");
    while let Some(event) = source.next().await {
        let said = match event {
            Ok(Event::Open) => continue,
            Ok(Event::Message(message)) => match serde_json::from_str::<Value>(&message.data) {
                Ok(data) => json!({ "event": message.event, "data": data, "id": message.id }),
                Err(error) => json!({ "thrown": format!("{error} in {message:?}") }),
            },
            Err(Error::InvalidStatusCode(status, _)) => json!({ "over": format!("status {}", status.as_u16()) }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{said}");
    }
}
