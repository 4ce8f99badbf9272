//! Which requests are traced.
//!
//! Whoever connects may ask for a trace, also without a token. So what they ask for counts within a limit, which is one for
//! all: traces cost no more than that, whoever asks for how many.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Decides on each span.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// For those who have no trace yet.
    share: Sampler,
    /// For all; `None` lets none pass.
    limit: Option<Arc<DefaultDirectRateLimiter>>,
}

impl Sampling {
    /// So many of a hundred, and so many a second at the most.
    pub fn new(percent: u32, per_second: u32) -> Self {
        let quota = NonZeroU32::new(per_second).map(Quota::per_second);
        Self {
            share: Sampler::TraceIdRatioBased(f64::from(percent) / 100.0),
            limit: quota.map(|it| Arc::new(RateLimiter::direct(it))),
        }
    }

    fn has_room(&self) -> bool {
        self.limit.as_ref().is_some_and(|it| it.check().is_ok())
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let caller = parent.map(|it| it.span().span_context().clone()).filter(SpanContext::is_valid);
        let is_in_share = || {
            let result = self.share.should_sample(None, trace, name, kind, attributes, links);
            result.decision == SamplingDecision::RecordAndSample
        };
        let is_told = match &caller {
            // Part of what was decided on.
            Some(parent) if !parent.is_remote() => parent.is_sampled(),
            Some(parent) => parent.is_sampled() && self.has_room(),
            // What nobody waits for, such as the question whether a server is there.
            None if *kind == SpanKind::Client => false,
            None => is_in_share() && self.has_room(),
        };
        SamplingResult {
            decision: if is_told { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: vec![],
            trace_state: caller.map(|it| it.trace_state().clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    fn parent(is_remote: bool, flags: TraceFlags) -> Context {
        let (trace, span) = (TraceId::from(7), SpanId::from(7));
        Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, is_remote, TraceState::default()))
    }

    /// How many of a thousand spans are told.
    fn told(sampling: &Sampling, parent: Option<&Context>, kind: &SpanKind) -> usize {
        let trace = |n: u128| TraceId::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let decisions = (1..=1000).map(|n| sampling.should_sample(parent, trace(n), "", kind, &[], &[]).decision);
        decisions.filter(|it| *it == SamplingDecision::RecordAndSample).count()
    }

    #[test]
    fn callers_are_traced_within_limits() {
        const MANY: u32 = 100_000;
        let asks = parent(true, TraceFlags::SAMPLED);
        let declines = parent(true, TraceFlags::default());
        let decided = parent(false, TraceFlags::SAMPLED);
        let server = SpanKind::Server;
        let cases = [
            ("all", Sampling::new(100, MANY), None, &server, 1000..=1000),
            ("some", Sampling::new(20, MANY), None, &server, 100..=300),
            ("none", Sampling::new(0, MANY), None, &server, 0..=0),
            ("who asks", Sampling::new(0, MANY), Some(&asks), &server, 1000..=1000),
            ("who declines", Sampling::new(100, MANY), Some(&declines), &server, 0..=0),
            ("many who ask", Sampling::new(100, 10), Some(&asks), &server, 10..=100),
            ("many who do not", Sampling::new(100, 10), None, &server, 10..=100),
            ("no traces", Sampling::new(100, 0), Some(&asks), &server, 0..=0),
            ("parts of what is told", Sampling::new(0, 0), Some(&decided), &SpanKind::Internal, 1000..=1000),
            ("what nobody waits for", Sampling::new(100, MANY), None, &SpanKind::Client, 0..=0),
        ];
        for (case, sampling, parent, kind, expected) in cases {
            let told = told(&sampling, parent, kind);
            assert!(expected.contains(&told), "{case}: {told}");
        }
    }
}
