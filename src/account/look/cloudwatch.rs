//! Sizes of buckets, from the metrics that CloudWatch records once a day (Amazon S3 User Guide, "Metrics and
//! dimensions"): the sum over all storage classes of the newest value.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{failure::Failure, request::Look, wire::Wire};
use crate::{
    account::inventory::ItemKind,
    aws::{call::Call, paging::Paging},
    clock,
    provider::aws::Service,
};

/// The most queries per call (Amazon CloudWatch API reference, GetMetricData).
const QUERIES_MAX: usize = 500;
const DAY_SECONDS: i64 = 86_400;
/// The metrics of a day appear within two days.
const LOOK_BACK_DAYS: i64 = 4;
const RIGHTS: &str = "cloudwatch:GetMetricData, cloudwatch:ListMetrics";

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

impl Metric {
    fn bucket(&self) -> Option<&str> {
        self.dimensions.iter().find(|dimension| dimension.name == "BucketName").map(|d| d.value.as_str())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsPage {
    #[serde(default)]
    metrics: Vec<Metric>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataPage {
    #[serde(default)]
    metric_data_results: Vec<Series>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: String,
    /// `Complete`; `PartialData` where a later page has more; otherwise a failure (Amazon CloudWatch API reference,
    /// MetricDataResult).
    status_code: Option<String>,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
}

/// Bytes, objects, and the day of the bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    bytes: Option<f64>,
    objects: Option<f64>,
    at_seconds: i64,
    /// The number for one of its storage classes is missing.
    is_partial: bool,
}

impl Look<'_> {
    /// Fills in the unknown sizes of the buckets of a region.
    pub(super) async fn bucket_sizes(&mut self, wire: &Wire, region: &str) {
        let sizes = match self.sizes_of(wire, region).await {
            Ok(sizes) => sizes,
            Err((call, failure)) => {
                let call = format!("cloudwatch {call}");
                return self.refused(&call, Some(region), None, &failure, RIGHTS, &[]);
            }
        };
        for (bucket, _) in sizes.iter().filter(|(_, size)| size.is_partial) {
            let failure = Failure::not_understood("not every number of its storage classes was answered");
            self.refused("cloudwatch GetMetricData", Some(region), Some(bucket), &failure, "", &[]);
        }
        let here = |kind: ItemKind, at: Option<&str>| kind == ItemKind::Bucket && at == Some(region);
        for item in self.inventory.items.iter_mut().filter(|item| here(item.kind, item.region.as_deref())) {
            let Some(size) = sizes.get(&item.name).filter(|size| !size.is_partial) else { continue };
            if let Some(bytes) = size.bytes.filter(|_| item.bytes.is_none()) {
                item.bytes = Some(whole(bytes));
                item.bytes_from = Some(format!("CloudWatch {}", day(size.at_seconds)));
            }
            item.objects = item.objects.or(size.objects.map(whole));
        }
    }

    async fn sizes_of(&mut self, wire: &Wire, region: &str) -> Result<BTreeMap<String, Size>, (&'static str, Failure)> {
        let mut metrics = Vec::new();
        for name in ["BucketSizeBytes", "NumberOfObjects"] {
            let listed = self.metrics(wire, region, name).await;
            metrics.extend(listed.map_err(|failure| ("ListMetrics", failure))?);
        }
        let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
        for some in metrics.chunks(QUERIES_MAX) {
            self.newest(wire, region, some, &mut sizes).await.map_err(|failure| ("GetMetricData", failure))?;
        }
        Ok(sizes)
    }

    async fn metrics(&mut self, wire: &Wire, region: &str, name: &str) -> Result<Vec<Metric>, Failure> {
        let mut metrics = Vec::new();
        let mut token = None::<String>;
        let mut paging = Paging::new();
        for page in 1.. {
            let mut body = json!({"Namespace": "AWS/S3", "MetricName": name});
            if let Some(token) = token.take() {
                body["NextToken"] = token.into();
            }
            let answer: MetricsPage = self.cloudwatch(wire, region, "ListMetrics", page, &body).await?;
            metrics.extend(answer.metrics.into_iter().filter(|metric| metric.metric_name == name));
            token = next_page(&mut paging, answer.next_token)?;
            if token.is_none() {
                break;
            }
        }
        Ok(metrics)
    }

    async fn newest(
        &mut self,
        wire: &Wire,
        region: &str,
        metrics: &[Metric],
        sizes: &mut BTreeMap<String, Size>,
    ) -> Result<(), Failure> {
        let now = clock::now().as_second();
        let query = |(at, metric): (usize, &Metric)| json!({"Id": format!("m{at}"), "MetricStat": {"Metric": metric, "Period": DAY_SECONDS, "Stat": "Average"}});
        let queries: Vec<_> = metrics.iter().enumerate().map(query).collect();
        let mut token = None::<String>;
        let mut newest: BTreeMap<usize, (i64, f64)> = BTreeMap::new();
        let mut unfinished = BTreeSet::new();
        let mut paging = Paging::new();
        for page in 1.. {
            let mut body = json!({"StartTime": now - LOOK_BACK_DAYS * DAY_SECONDS, "EndTime": now,
                "MetricDataQueries": queries});
            if let Some(token) = token.take() {
                body["NextToken"] = token.into();
            }
            let answer: DataPage = self.cloudwatch(wire, region, "GetMetricData", page, &body).await?;
            for series in answer.metric_data_results {
                let Some(at) = series.id.strip_prefix('m').and_then(|at| at.parse().ok()) else { continue };
                match series.status_code.as_deref() {
                    None | Some("Complete") => unfinished.remove(&at),
                    Some(_) => unfinished.insert(at),
                };
                for (time, value) in series.timestamps.iter().zip(series.values) {
                    let time = *time as i64;
                    let known = newest.entry(at).or_insert((time, value));
                    if time >= known.0 {
                        *known = (time, value);
                    }
                }
            }
            token = next_page(&mut paging, answer.next_token)?;
            if token.is_none() {
                break;
            }
        }
        for bucket in unfinished.into_iter().filter_map(|at| metrics.get(at)?.bucket()) {
            sizes.entry(bucket.to_owned()).or_default().is_partial = true;
        }
        for (at, (time, value)) in newest {
            let Some((metric, bucket)) = metrics.get(at).and_then(|m| Some((m, m.bucket()?))) else { continue };
            let size = sizes.entry(bucket.to_owned()).or_default();
            if metric.metric_name == "BucketSizeBytes" {
                size.bytes = Some(size.bytes.unwrap_or_default() + value);
                size.at_seconds = size.at_seconds.max(time);
            } else {
                size.objects = Some(size.objects.unwrap_or_default() + value);
            }
        }
        Ok(())
    }

    async fn cloudwatch<T: DeserializeOwned>(
        &mut self,
        wire: &Wire,
        region: &str,
        operation: &str,
        page: u32,
        body: &serde_json::Value,
    ) -> Result<T, Failure> {
        let call = Call {
            service: Service::CloudWatch,
            region,
            method: "POST",
            url: format!("{}/", self.aws.address(Service::CloudWatch, region)),
            headers: vec![
                ("content-type", "application/x-amz-json-1.0".to_owned()),
                ("x-amz-target", format!("GraniteServiceVersion20100801.{operation}")),
            ],
            body: body.to_string(),
        };
        let (bytes, digest) = wire.send(&call).await?;
        self.answered(&format!("cloudwatch {operation}"), Some(region), page, Some(digest));
        serde_json::from_slice(&bytes).map_err(Failure::not_understood)
    }
}

fn next_page(paging: &mut Paging, token: Option<String>) -> Result<Option<String>, Failure> {
    paging.next(token.as_deref()).map_err(Failure::not_understood)
}

fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

fn day(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_else(|_| clock::now());
    TimeZone::UTC.to_datetime(at).date().to_string()
}
