//! The configuration of a bucket, as far as the provider reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::properties::{Class, ClassCount};

/// Everything that was queried about a bucket itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketConfiguration {
    /// The bucket's name.
    pub bucket: String,
    /// One entry for each query, in a fixed order.
    pub items: Vec<BucketItem>,
}

/// The answer to one query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketItem {
    /// `policy`, `lifecycle`, `cors`, …
    pub name: String,
    /// Its class; none if the bucket has no such configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Why it is absent, lost or unreadable, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The answer as it came: XML, or JSON for a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl BucketConfiguration {
    /// How many items are in each class.
    pub fn classes(&self) -> ClassCount {
        let mut count = ClassCount::default();
        self.items.iter().filter_map(|item| item.class).for_each(|class| count.add_one(class));
        count
    }

    /// The names of the items of one class.
    pub fn of_class(&self, class: Class) -> Vec<&str> {
        self.items.iter().filter(|item| item.class == Some(class)).map(|item| item.name.as_str()).collect()
    }

    /// Keeps the class of an answer, and leaves the answer itself out, where there is one.
    pub fn withhold(&mut self, name: &str, why: &str) {
        for item in self.items.iter_mut().filter(|item| item.name == name && item.answer.is_some()) {
            item.answer = None;
            item.reason = Some(why.to_owned());
        }
    }

    /// The answer to a query, if there was one.
    pub fn answer(&self, name: &str) -> Option<&str> {
        self.items.iter().find(|item| item.name == name)?.answer.as_deref()
    }
}
