use super::*;

fn curve(mode: WriteMode) -> Curve {
    Curve::new(Geometry::DEFAULT, mode, 65_536)
}

#[test]
fn the_plot_has_its_axes_its_teeth_and_fits_a_terminal() {
    for mode in [WriteMode::Stream, WriteMode::Packet] {
        for columns in [32, 40, 60, 74, 80, 200] {
            let text = curve(mode).text(columns);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns.min(75)), "{widest:?}:\n{text}");
            for label in ["64 KiB", "32 KiB", "bytes of each write(2)"] {
                assert!(text.contains(label), "{label}:\n{text}");
            }
            assert!(!text.contains('\x1b'));
        }
    }
    let text = curve(WriteMode::Stream).text(80);
    assert!(text.contains("2,049-byte writes: 32,784 bytes"), "{text}");
}

#[test]
fn the_plot_of_a_pipe_that_everything_fills_is_a_line_at_the_top() {
    let page = pipeclog_pipemodel::PageSize::FOUR_KIB;
    let geometry = Geometry::new(page, 1).expect("a power of two");
    let cells = Curve::new(geometry, WriteMode::Stream, 2).cells(64);
    assert!(cells[0].iter().all(|dots| *dots != 0), "no gap");
    assert!(cells[1..].iter().flatten().all(|dots| *dots == 0));
}

#[test]
fn the_json_names_the_pipe_and_begins_with_one_byte_writes() {
    let json = curve(WriteMode::Packet).json().expect("numbers");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["capacity_bytes"], 65_536);
    assert_eq!(value["slots"], 16);
    assert_eq!(value["packet_mode"], true);
    let bytes = value["effective_bytes"].as_array().expect("an array");
    assert_eq!(bytes.len(), 65_536);
    assert_eq!((&bytes[0], &bytes[4096]), (&16.into(), &32_776.into()));
}

#[test]
fn the_picture_opens_and_closes_its_elements_and_stays_within_its_frame() {
    for mode in [WriteMode::Stream, WriteMode::Packet] {
        let svg = curve(mode).svg();
        for element in ["svg", "title", "desc", "style", "text"] {
            let opened = svg.matches(&format!("<{element}")).count();
            let closed = svg.matches(&format!("</{element}>")).count();
            assert!(
                opened > 0 && opened == closed,
                "{element}: {opened}, {closed}"
            );
        }
        let path = svg
            .split("d=\"M")
            .nth(1)
            .and_then(|rest| rest.split("Z\"").next())
            .expect("a path");
        for point in path.split('L') {
            let (x, y) = point.split_once(' ').expect("two numbers");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!(
                (84.0..=936.0).contains(&x) && (64.0..=376.0).contains(&y),
                "{point}"
            );
        }
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
    assert!(
        curve(WriteMode::Stream)
            .svg()
            .contains("2,049-byte writes: 32,784")
    );
}

#[test]
fn a_curve_of_one_size_or_of_none_is_drawn_too() {
    for largest in [0, 1, 2] {
        let curve = Curve::new(Geometry::DEFAULT, WriteMode::Stream, largest);
        assert!(curve.text(80).contains("└"));
        assert!(curve.svg().ends_with("</svg>\n"));
    }
}
