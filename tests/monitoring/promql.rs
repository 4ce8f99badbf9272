//! Which metrics and labels an expression of `PromQL` asks for.
//!
//! Not a parser: whether an expression is one, promtool says. A name is whatever is neither in quotes, brackets or braces nor
//! called, nor a word of the language.

use std::iter::Peekable;
use std::str::Chars;

/// Words that may come where a metric can.
const WORDS: [&str; 10] = ["and", "or", "unless", "offset", "bool", "atan2", "start", "end", "inf", "nan"];
/// Words that labels in parentheses follow.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Operators that may be parted by a grouping from what they are of.
const AGGREGATIONS: [&str; 12] =
    ["sum", "min", "max", "avg", "group", "count", "stddev", "stdvar", "count_values", "bottomk", "topk", "quantile"];

/// What an expression asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub selectors: Vec<Selector>,
    /// The labels by which something is grouped or matched.
    pub grouping: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

type Text<'a> = Peekable<Chars<'a>>;

pub fn uses(expression: &str) -> Uses {
    let mut uses = Uses::default();
    let mut text = expression.chars().peekable();
    while let Some(&next) = text.peek() {
        match next {
            '"' | '\'' | '`' => _ = quoted(&mut text),
            '[' => _ = text.find(|it| *it == ']'),
            '{' => {
                let matchers = matchers(&mut text);
                uses.selectors.last_mut().expect("a metric before its labels").matchers = matchers;
            }
            // A number, or a time.
            '0'..='9' | '.' => _ = word(&mut text),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let name = word(&mut text);
                skip_space(&mut text);
                let lower = name.to_lowercase();
                if GROUPING.contains(&&*lower) {
                    if text.next_if_eq(&'(').is_some() {
                        let labels: String = text.by_ref().take_while(|it| *it != ')').collect();
                        uses.grouping
                            .extend(labels.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()));
                    }
                } else if text.peek() != Some(&'(') && !WORDS.contains(&&*lower) && !AGGREGATIONS.contains(&&*lower) {
                    uses.selectors.push(Selector { metric: name, matchers: vec![] });
                }
            }
            _ => _ = text.next(),
        }
    }
    uses
}

fn skip_space(text: &mut Text<'_>) {
    while text.next_if(|it| it.is_whitespace()).is_some() {}
}

fn word(text: &mut Text<'_>) -> String {
    std::iter::from_fn(|| text.next_if(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | ':' | '.'))).collect()
}

fn quoted(text: &mut Text<'_>) -> String {
    let quote = text.next().expect("a quote");
    let mut content = String::new();
    while let Some(next) = text.next() {
        match next {
            '\\' if quote != '`' => content.extend(text.next()),
            it if it == quote => break,
            it => content.push(it),
        }
    }
    content
}

fn matchers(text: &mut Text<'_>) -> Vec<Matcher> {
    text.next();
    let mut matchers = vec![];
    loop {
        while text.next_if(|it| it.is_whitespace() || *it == ',').is_some() {}
        if matches!(text.peek(), None | Some('}')) {
            text.next();
            return matchers;
        }
        let label = word(text);
        skip_space(text);
        let operator = std::iter::from_fn(|| text.next_if(|it| "=!~".contains(*it))).collect();
        skip_space(text);
        matchers.push(Matcher { label, operator, value: quoted(text) });
    }
}

#[test]
fn metrics_and_labels_are_found() {
    let shown = |expression: &str| {
        let Uses { selectors, grouping } = uses(expression);
        let selector = |it: &Selector| {
            let matchers = it.matchers.iter().map(|it| format!(" {}{}{}", it.label, it.operator, it.value));
            it.metric.clone() + &matchers.collect::<String>()
        };
        format!("{}; {}", selectors.iter().map(selector).collect::<Vec<_>>().join(", "), grouping.join(" "))
    };
    for (expression, expected) in [
        ("up == 0", "up; "),
        ("absent(a)", "a; "),
        ("sum by (x, y) (rate(a_total{b=\"c\", d=~\"e|f\"}[5m])) > 1.5", "a_total b=c d=~e|f; x y"),
        ("sum(a) by (x)", "a; x"),
        ("a / on (j) group_left (k) b offset 5m", "a, b; j k"),
        ("histogram_quantile(0.99, sum without (r) (rate(d_bucket[10m]))) > 1e3", "d_bucket; r"),
        ("time() - a{} or vector(0)", "a; "),
        ("topk(10, max by (g) (a))", "a; g"),
        ("a{x=\"} b{\", y!='\\'z'} and c", "a x=} b{ y!='z, c; "),
        ("sum without () (a{j=~\"$job\"}[$__rate_interval:1m])", "a j=~$job; "),
    ] {
        assert_eq!(shown(expression), expected, "{expression}");
    }
}
