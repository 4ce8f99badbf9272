//! The text format that Prometheus began with, made of that of OpenMetrics.
//!
//! They differ in what a family is called: in OpenMetrics by what its samples have in common, before by what they are
//! called whole. Neither units nor an end are said before, and there are fewer types.

/// The same metrics.
pub fn translated(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // A type comes after the help of its family, whose name depends on it.
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, of_type)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
            let (suffix, of_type) = match of_type {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            text.extend(["# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", of_type, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_called_what_their_samples_are() {
        let openmetrics = "\
            # HELP requests Answers.\n# TYPE requests counter\nrequests_total{route=\"/\"} 1\n\
            # HELP build Build.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 0.5\n\
            # HELP took_seconds Time.\n# TYPE took_seconds histogram\ntook_seconds_sum 1.0\ntook_seconds_count 1\n\
            took_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let classic = "\
            # HELP requests_total Answers.\n# TYPE requests_total counter\nrequests_total{route=\"/\"} 1\n\
            # HELP build_info Build.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 0.5\n\
            # HELP took_seconds Time.\n# TYPE took_seconds histogram\ntook_seconds_sum 1.0\ntook_seconds_count 1\n\
            took_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(translated(openmetrics), classic);
    }
}
