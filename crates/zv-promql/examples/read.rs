//! Reads each line of its input as an expression, and prints it in one way, or what is wrong with it.

use std::io::BufRead as _;

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let options = zv_promql::ParseOptions { experimental: true };
        match zv_promql::Query::parse(&line, options) {
            Ok(query) => println!("ok {}", zv_promql::pretty(query.expr()).replace('\n', "~")),
            Err(error) => println!("no {error}"),
        }
    }
}
