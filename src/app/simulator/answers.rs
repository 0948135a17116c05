//! A plausible triage by key words: of exactly the schema that was asked for, and the same for the same ticket.

use serde_json::{Map, Value, json};

/// Words that speak for a category, by fragments of its name; what a label's own name and description say counts too.
const HINTS: &[(&str, &[&str])] = &[
    ("account", &["password", "login", "log in", "sign in", "locked", "pin", "verify", "passwort"]),
    ("billing", &["charge", "charged", "invoice", "payment", "fee", "paid", "bill", "rechnung"]),
    ("order", &["order", "delivery", "shipping", "tracking", "package", "arrive", "lieferung"]),
    ("refund", &["refund", "money back", "cancel", "return", "reimburse", "stornieren"]),
    ("security", &["fraud", "stolen", "hacked", "unknown transaction", "phishing", "suspicious", "breach"]),
    ("technical", &["error", "crash", "bug", "broken", "slow", "not working", "fails", "down", "fehler"]),
    ("general", &["question", "how do i", "how can", "what is", "information", "price", "opening"]),
];
const ANGRY: &[&str] = &["angry", "terrible", "worst", "unacceptable", "ridiculous", "furious", "!!", "disappointed"];
const HAPPY: &[&str] = &["thank", "great", "love", "awesome", "perfect", "danke"];
const URGENT: &[&str] = &["urgent", "immediately", "asap", "right now", "emergency", "dringend", "sofort"];
const BIG: &[&str] = &["everyone", "all users", "company", "outage", "whole team", "production", "data breach"];

/// What a chat request asks.
pub(super) struct Request {
    ticket: String,
    schema: Value,
    prompt_chars: usize,
}

impl Request {
    /// `None`: this is no chat request with a JSON schema.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let messages = body["messages"].as_array()?;
        let user = messages.iter().rev().find(|message| message["role"] == "user")?["content"].as_str()?;
        let schema = body["response_format"]["json_schema"]["schema"].clone();
        schema["properties"].as_object()?;
        let prompt_chars = messages.iter().filter_map(|message| message["content"].as_str()).map(str::len).sum();
        Some(Self { ticket: user.to_lowercase(), schema, prompt_chars })
    }

    pub fn prompt_tokens(&self) -> u64 {
        (self.prompt_chars as u64).div_ceil(4)
    }

    /// One value a property, of its type and from its set.
    pub fn answer(&self) -> Map<String, Value> {
        let properties = self.schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, property)| (name.clone(), self.value(name, property))).collect()
    }

    fn value(&self, name: &str, property: &Value) -> Value {
        let says = |words: &[&str]| words.iter().any(|word| self.ticket.contains(word));
        let level = |high: &[&str]| if says(high) { "high" } else { "low" };
        let wanted = match name {
            "category" => self.category(property),
            "impact" => json!(level(BIG)),
            "urgency" => json!(level(URGENT)),
            "sentiment" if says(ANGRY) => json!("negative"),
            "sentiment" if says(HAPPY) => json!("positive"),
            "sentiment" => json!("neutral"),
            "language" if says(&[" ich ", " nicht ", " und ", "danke"]) => json!("de"),
            "language" => json!("en"),
            "summary" => json!(format!("Customer writes: {}", self.first_words())),
            "rationale" => json!("The ticket's words fit this category best."),
            "reply" => json!("Thank you for your message. We are looking into it and will come back to you."),
            _ => match property["type"].as_str() {
                Some("number") => json!(self.confidence(name)),
                Some("string") => json!("none"),
                Some("boolean") => json!(false),
                _ => Value::Null,
            },
        };
        match property["enum"].as_array() {
            Some(set) if !set.contains(&wanted) => set.last().cloned().unwrap_or(Value::Null),
            _ => wanted,
        }
    }

    fn category(&self, property: &Value) -> Value {
        let labels = property["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let score = |label: &str| {
            let hinted = HINTS.iter().filter(|(fragment, _)| label.contains(fragment)).flat_map(|(_, words)| *words);
            let named = label.split('_').filter(|word| word.len() > 3 && self.ticket.contains(word)).count();
            2 * hinted.filter(|word| self.ticket.contains(**word)).count() + named
        };
        let best = labels
            .map(|label| (score(label), label))
            .fold((0, None), |best, (score, label)| if score > best.0 { (score, Some(label)) } else { best });
        best.1.map_or(json!("none_of_these"), |label| json!(label))
    }

    /// 0.60 to 0.97, by what the ticket says.
    fn confidence(&self, of: &str) -> f64 {
        let sum = crc32fast::hash(format!("{of} {}", self.ticket).as_bytes());
        f64::from(60 + sum % 38) / 100.0
    }

    fn first_words(&self) -> String {
        let text = self.ticket.rsplit_once("message:").map_or(self.ticket.as_str(), |(_, text)| text);
        text.split_whitespace().filter(|word| *word != "ticket>>>").take(12).collect::<Vec<_>>().join(" ")
    }
}
