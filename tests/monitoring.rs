//! What those who run the service look at: metrics as Prometheus reads them, alert rules that fire when they should, and a
//! dashboard that asks for nothing that is not there.

mod support;

#[path = "monitoring/cardinality.rs"]
mod cardinality;
#[path = "monitoring/files.rs"]
mod files;
#[path = "monitoring/metrics.rs"]
mod metrics;
#[path = "monitoring/promql.rs"]
mod promql;
#[path = "monitoring/promtool.rs"]
mod promtool;
#[path = "monitoring/scrape.rs"]
mod scrape;
