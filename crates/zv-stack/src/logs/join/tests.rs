//! Lines out of pieces, however they are chopped.

use proptest::prelude::*;

use super::*;

/// A line as a process wrote it.
#[derive(Debug, Clone)]
struct Written {
    output: Output,
    text: Vec<u8>,
    second: u32,
}

fn stamp(second: u32) -> String {
    format!("2026-01-02T03:04:{second:02}.000000001Z ")
}

/// Cuts a line into pieces as the engine does; each piece but the first is stamped later.
fn pieces(line: &Written, end: &[u8]) -> Vec<Vec<u8>> {
    let mut whole = line.text.clone();
    whole.extend_from_slice(end);
    let cut = whole
        .chunks(PIECE)
        .enumerate()
        .map(|(n, piece)| [stamp(line.second + u32::try_from(n).unwrap()).as_bytes(), piece].concat());
    cut.collect()
}

fn framed(lines: &[Written]) -> Vec<u8> {
    let frame = |output: Output, piece: Vec<u8>| {
        let kind = if output == Output::Stderr { 2 } else { 1 };
        let length = u32::try_from(piece.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, &piece].concat()
    };
    lines
        .iter()
        .flat_map(|line| pieces(line, b"\n").into_iter().flat_map(move |p| frame(line.output, p)))
        .collect()
}

fn terminal(lines: &[Written]) -> Vec<u8> {
    lines.iter().flat_map(|line| pieces(line, b"\r\n").concat()).collect()
}

fn join(tty: bool, bytes: &[u8], cuts: &[usize]) -> Vec<Joined> {
    let (mut joiner, mut joined) = (Joiner::new(tty), Vec::new());
    let mut rest = bytes;
    for cut in cuts {
        let (portion, after) = rest.split_at((*cut).min(rest.len()));
        joiner.push(portion, &mut joined);
        rest = after;
    }
    joiner.push(rest, &mut joined);
    joiner.finish(&mut joined);
    joined
}

fn expected(line: &Written) -> Joined {
    Joined::Line {
        output: line.output,
        at: parse_stamp(stamp(line.second).as_bytes()),
        text: String::from_utf8(line.text.clone()).unwrap(),
        cut: false,
    }
}

fn line(outputs: &'static [Output]) -> impl Strategy<Value = Written> {
    let lengths = prop_oneof![0..100usize, PIECE - 3..PIECE + 3, 2 * PIECE - 3..2 * PIECE + 3];
    (prop::sample::select(outputs), lengths, 0..50u32, prop::sample::select(&b"a 2-:"[..]))
        .prop_map(|(output, length, second, letter)| Written { output, text: vec![letter; length], second })
}

fn check_all(tty: bool, bytes: &[u8], cuts: &[usize], lines: &[Written]) {
    let joined = join(tty, bytes, cuts);
    assert_eq!(joined, lines.iter().map(expected).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn frames_make_the_same_lines_however_they_arrive(
        lines in prop::collection::vec(line(&[Output::Stdout, Output::Stderr]), 0..8),
        cuts in prop::collection::vec(0..20_000usize, 0..20),
    ) {
        check_all(false, &framed(&lines), &cuts, &lines);
    }

    #[test]
    fn a_terminals_bytes_make_the_same_lines_however_they_arrive(
        lines in prop::collection::vec(line(&[Output::Stdout]), 0..8),
        cuts in prop::collection::vec(0..20_000usize, 0..20),
    ) {
        check_all(true, &terminal(&lines), &cuts, &lines);
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_too_much(tty: bool, bytes: Vec<u8>, cuts in prop::collection::vec(0..50usize, 0..20)) {
        join(tty, &bytes, &cuts);
    }
}

#[test]
fn byte_by_byte() {
    let lines = [
        Written { output: Output::Stdout, text: b"one".to_vec(), second: 1 },
        Written { output: Output::Stderr, text: b"two".to_vec(), second: 2 },
    ];
    let bytes = framed(&lines);
    check_all(false, &bytes, &vec![1; bytes.len()], &lines);
}

#[test]
fn pieces_of_two_outputs_do_not_mix() {
    let out = Written { output: Output::Stdout, text: vec![b'o'; PIECE + 1], second: 1 };
    let err = Written { output: Output::Stderr, text: b"err".to_vec(), second: 2 };
    let first = framed(&[Written { text: vec![b'o'; PIECE], ..out.clone() }]);
    // The first frame holds a whole piece; its line end comes in a frame of its own, which is left out.
    let whole = first[..8 + stamp(1).len() + PIECE].to_vec();
    let last = framed(&[Written { text: b"o".to_vec(), second: 3, ..out.clone() }]);
    let bytes = [whole, framed(std::slice::from_ref(&err)), last].concat();
    check_all(false, &bytes, &[], &[err, out]);
}

#[test]
fn what_a_process_left_without_a_line_end_is_a_line_of_its_own() {
    let bytes = framed(&[Written { output: Output::Stdout, text: b"x".to_vec(), second: 1 }]);
    let mut unended = bytes[..bytes.len() - 1].to_vec();
    unended[7] -= 1;
    let texts = |joined: Vec<Joined>| {
        joined.into_iter().map(|joined| match joined {
            Joined::Line { text, .. } => text,
            Joined::Failed(text) => panic!("{text}"),
        })
    };
    let joined = join(false, &[unended, bytes].concat(), &[]);
    assert_eq!(texts(joined).collect::<Vec<_>>(), ["x", "x"]);
}

#[test]
fn a_line_over_the_limit_is_cut_at_a_character_and_marked() {
    for tty in [false, true] {
        let text = "é".repeat(LINE_LIMIT / 2 + 10).into_bytes();
        let long = Written { output: Output::Stdout, text: [b"a", &text[..]].concat(), second: 1 };
        let next = Written { output: Output::Stdout, text: b"next".to_vec(), second: 9 };
        let lines = [long, next.clone()];
        let joined = join(tty, &if tty { terminal(&lines) } else { framed(&lines) }, &[]);
        let Joined::Line { text, cut: true, .. } = &joined[0] else { panic!("not cut") };
        assert_eq!(text.len(), LINE_LIMIT - 1);
        assert!(text.ends_with('é'));
        assert_eq!(joined[1], expected(&next));
    }
}

#[test]
fn a_line_of_exactly_the_limit_is_whole() {
    for tty in [false, true] {
        let line = Written { output: Output::Stdout, text: vec![b'a'; LINE_LIMIT], second: 1 };
        let bytes =
            if tty { terminal(std::slice::from_ref(&line)) } else { framed(std::slice::from_ref(&line)) };
        check_all(tty, &bytes, &[], &[line]);
    }
}

#[test]
fn a_terminals_longer_pieces_are_found_by_their_common_timestamp() {
    let piece = [b"x".repeat(PIECE - 1), "\u{fffd}".as_bytes().to_vec()].concat();
    let raw = [stamp(1).as_bytes(), &piece, stamp(1).as_bytes(), b"end\r\n"].concat();
    let joined = join(true, &raw, &[]);
    let Joined::Line { text, .. } = &joined[0] else { panic!("no line") };
    assert_eq!(text.len(), piece.len() + 3);
    assert!(text.ends_with("\u{fffd}end"));
}

#[test]
fn the_engines_own_failure_is_told() {
    let message = b"Error grabbing logs: gone\n";
    let header = [3, 0, 0, 0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    let joined = join(false, &[&header[..], message].concat(), &[10, 3]);
    assert_eq!(joined, [Joined::Failed("Error grabbing logs: gone\n".into())]);
}

#[test]
fn a_frame_without_a_timestamp_is_kept() {
    let frame = |text: &[u8]| [&[1, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()][..], text].concat();
    for text in ["plain\n", "with a space\n", "a-word-that-is-longer-than-any-timestamp-could-be\n"] {
        let joined = join(false, &frame(text.as_bytes()), &[]);
        let line =
            Joined::Line { output: Output::Stdout, at: None, text: text.trim_end().into(), cut: false };
        assert_eq!(joined, [line]);
    }
}

#[test]
fn a_line_end_that_the_engine_lost_is_found() {
    let long = Written { output: Output::Stdout, text: vec![b'x'; 2 * PIECE + 9], second: 1 };
    let next = Written { output: Output::Stdout, text: b"next".to_vec(), second: 9 };
    let mut raw = terminal(&[long.clone(), long.clone(), next.clone()]);
    let mut kept = 0;
    raw.retain(|byte| {
        kept += usize::from(*byte == b'\n');
        *byte != b'\n' || kept == 3
    });
    check_all(true, &raw, &[], &[long.clone(), long, next]);
}
