//! Metrics as plain values, read at one moment.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::tally::Durations;

/// The labels of a sample.
pub type Labels = Vec<(&'static str, String)>;

/// Families of samples.
#[derive(Debug, Default)]
pub struct Table(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Labels, Value)>,
}

/// What a sample says.
#[derive(Debug, Clone)]
pub enum Value {
    /// It only grows.
    Count(u64),
    /// It only grows.
    Seconds(f64),
    Gauge(u64),
    Level(f64),
    /// The sum, and how many there were up to each bound and above the one before.
    Histogram(f64, Vec<(f64, u64)>),
}

impl From<&Durations> for Value {
    fn from(durations: &Durations) -> Self {
        // Counted first: what comes meanwhile may be in the sum only, which nobody minds.
        let counts = durations.counts();
        Self::Histogram(durations.sum().as_secs_f64(), counts)
    }
}

impl Table {
    /// Adds a family. Its name is whole, but for what its type appends.
    pub fn add(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, Value)>) {
        let samples: Vec<_> = samples.into_iter().collect();
        if !samples.is_empty() {
            self.0.push(Family { name, help, samples });
        }
    }

    /// Adds a family of one sample.
    pub fn add_one(&mut self, name: &'static str, help: &'static str, value: Value) {
        self.add(name, help, [(vec![], value)]);
    }
}

impl Value {
    fn metric_type(&self) -> MetricType {
        match self {
            Self::Count(_) | Self::Seconds(_) => MetricType::Counter,
            Self::Gauge(_) | Self::Level(_) => MetricType::Gauge,
            Self::Histogram(..) => MetricType::Histogram,
        }
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => ConstCounter::new(*count).encode(encoder),
            Self::Seconds(seconds) => ConstCounter::new(*seconds).encode(encoder),
            Self::Gauge(level) => ConstGauge::new(*level).encode(encoder),
            Self::Level(level) => ConstGauge::new(*level).encode(encoder),
            Self::Histogram(sum, counts) => {
                let count = counts.iter().map(|(_, count)| count).sum();

                encoder.encode_histogram::<Labels>(*sum, count, counts, None)
            }
        }
    }
}

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        for Family { name, help, samples } in &self.0 {
            let Some((_, first)) = samples.first() else { continue };
            let mut family = encoder.encode_descriptor(name, help, None, first.metric_type())?;
            for (labels, value) in samples {
                // What has no labels has no braces either.
                if labels.is_empty() {
                    value.encode(family)?;
                    break;
                }
                value.encode(family.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}
