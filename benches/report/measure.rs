//! A figure, what it should be, and all that were found out.

use super::figures::{least, median, most};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is told for what it says.
    None,
}

impl Target {
    pub fn is_met_by(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }
}

/// A figure at a size.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The part of the report that it belongs to.
    pub part: &'static str,
    pub name: String,
    /// The name of the size, or nothing where there is one only.
    pub size: &'static str,
    pub unit: &'static str,
    pub target: Target,
    /// What was measured, once or more often; nothing where it could not be.
    pub samples: Vec<f64>,
}

impl Measure {
    /// The median.
    pub fn value(&self) -> Option<f64> {
        (!self.samples.is_empty()).then(|| median(&self.samples))
    }

    pub fn range(&self) -> Option<(f64, f64)> {
        (!self.samples.is_empty()).then(|| (least(&self.samples), most(&self.samples)))
    }

    /// Nothing where there is no target.
    pub fn is_met(&self) -> Option<bool> {
        match self.value() {
            Some(value) => self.target.is_met_by(value),
            None => (self.target != Target::None).then_some(false),
        }
    }
}

/// Where parts of the report tell what they measured. It is printed at once, so that whoever waits sees something.
#[derive(Default)]
pub struct Measures {
    pub all: Vec<Measure>,
    /// What else is to be said, with the part that says so.
    pub remarks: Vec<(&'static str, String)>,
    /// Of what is not known before it runs.
    pub versions: Vec<(&'static str, String)>,
    part: &'static str,
    size: &'static str,
}

impl Measures {
    /// What follows is about this.
    pub fn begin(&mut self, part: &'static str, size: &'static str) {
        (self.part, self.size) = (part, size);
    }

    /// The name of the size that it is about.
    pub fn size(&self) -> &'static str {
        self.size
    }

    pub fn hold(&mut self, name: impl Into<String>, unit: &'static str, target: Target, samples: Vec<f64>) {
        let (part, size) = (self.part, self.size);
        let measure = Measure { part, name: name.into(), size, unit, target, samples };
        println!("{}", super::write::line(&measure));
        self.all.push(measure);
    }

    pub fn tell(&mut self, name: impl Into<String>, unit: &'static str, samples: Vec<f64>) {
        self.hold(name, unit, Target::None, samples);
    }

    /// A figure with a target that could not be measured.
    pub fn miss(&mut self, name: impl Into<String>, unit: &'static str, target: Target, why: &str) {
        let name = name.into();
        self.remark(format!("{name} was NOT MEASURED: {why}"));
        self.hold(name, unit, target, vec![]);
    }

    pub fn version(&mut self, of: &'static str, version: &str) {
        if !self.versions.iter().any(|(it, _)| *it == of) {
            self.versions.push((of, version.to_owned()));
        }
    }

    pub fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        println!("  {remark}");
        self.remarks.push((self.part, remark));
    }
}
