//! Every metric of Varve's servers, defined once, and the registry that holds them. docs/operate/serve.md is tested
//! against [`METRICS`].

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// The definition of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in the exposition.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// What it counts, as the documentation says it.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal = $meaning:literal;)*) => {
        $(const $constant: Metric = Metric { name: $name, kind: MetricKind::$kind, meaning: $meaning };)*
        /// Every metric.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    REQUESTS: Counter "varve_http_requests_total" = "requests by `status`: `2xx`, `3xx`, `4xx`, `5xx`";
    BYTES: Counter "varve_http_sent_bytes_total" = "bytes of response bodies";
    DURATION: Histogram "varve_http_request_seconds" = "from the end of a request's header to the end of its response";
    CONNECTIONS: Gauge "varve_http_connections" = "open connections";
    ACCEPTED: Counter "varve_http_accepted_total" = "connections accepted";
    TOO_SLOW: Counter "varve_http_too_slow_total" =
        "connections dropped because the client was too slow, by `at`: `header`, `response`";
    LOG_LOST: Counter "varve_access_log_lost_total" = "lines that the access log could not take";
}

/// The upper bounds of the classes of [`DURATION`], seconds.
const DURATION_CLASSES: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// The registry of one server. Counting costs an atomic addition.
pub struct Metrics {
    handle: PrometheusHandle,
    requests: [Counter; 4],
    bytes: Counter,
    duration: Histogram,
    connections: Gauge,
    accepted: Counter,
    slow_header: Counter,
    slow_reader: Counter,
    log_lost: Counter,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(&DURATION_CLASSES).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for metric in METRICS {
            let (name, text) = (metric.name.into(), SharedString::const_str(metric.meaning));
            match metric.kind {
                MetricKind::Counter => recorder.describe_counter(name, None, text),
                MetricKind::Gauge => recorder.describe_gauge(name, None, text),
                MetricKind::Histogram => recorder.describe_histogram(name, Some(Unit::Seconds), text),
            }
        }
        let requests = ["2xx", "3xx", "4xx", "5xx"];
        Self {
            requests: requests.map(|class| counter(&recorder, REQUESTS, &[("status", class)])),
            bytes: counter(&recorder, BYTES, &[]),
            duration: recorder.register_histogram(&key(DURATION, &[]), &METADATA),
            connections: recorder.register_gauge(&key(CONNECTIONS, &[]), &METADATA),
            accepted: counter(&recorder, ACCEPTED, &[]),
            slow_header: counter(&recorder, TOO_SLOW, &[("at", "header")]),
            slow_reader: counter(&recorder, TOO_SLOW, &[("at", "response")]),
            log_lost: counter(&recorder, LOG_LOST, &[]),
            handle: recorder.handle(),
        }
    }

    /// The exposition in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Sorts what was observed since the last time; to be called every few seconds.
    pub(crate) fn settle(&self) {
        self.handle.run_upkeep();
    }

    pub(crate) fn request(&self, status: StatusCode, sent: u64, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.requests[class].increment(1);
        self.bytes.increment(sent);
        self.duration.record(took.as_secs_f64());
    }

    pub(crate) fn connection_opened(&self) {
        self.accepted.increment(1);
        self.connections.increment(1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.decrement(1);
    }

    pub(crate) fn slow_header(&self) {
        self.slow_header.increment(1);
    }

    pub(crate) fn slow_reader(&self) {
        self.slow_reader.increment(1);
    }

    pub(crate) fn log_line_lost(&self) {
        self.log_lost.increment(1);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

static METADATA: Metadata<'static> = Metadata::new("varve", Level::INFO, None);

fn key(metric: Metric, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|&(name, value)| Label::new(name, value)).collect();
    Key::from_parts(metric.name, labels)
}

fn counter(
    recorder: &PrometheusRecorder,
    metric: Metric,
    labels: &[(&'static str, &'static str)],
) -> Counter {
    let counter = recorder.register_counter(&key(metric, labels), &METADATA);
    // So that the first scrape shows it at zero.
    counter.increment(0);
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exposed_and_documented() {
        let metrics = Metrics::new();
        metrics.request(StatusCode::PARTIAL_CONTENT, 5, Duration::from_millis(1));
        metrics.request(StatusCode::NOT_FOUND, 2, Duration::from_millis(1));
        metrics.settle();
        let text = metrics.render();
        for metric in METRICS {
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{}\n{text}", metric.name);
        }
        assert!(text.contains("varve_http_requests_total{status=\"2xx\"} 1"), "{text}");
        assert!(text.contains("varve_http_requests_total{status=\"4xx\"} 1"), "{text}");
        assert!(text.contains("varve_http_sent_bytes_total 7"), "{text}");
        assert!(text.contains("varve_http_request_seconds_bucket{le=\"0.001\"} 2"), "{text}");
        let page = include_str!("../../../docs/operate/serve.md");
        for metric in METRICS {
            let row = format!("| `{}` | {} |", metric.name, metric.meaning);
            assert!(page.contains(&row), "docs/operate/serve.md lacks the row\n{row}");
        }
    }
}
