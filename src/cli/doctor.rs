//! `walkaway doctor`: whether this machine is ready for a run. The engine examines it; this file shows the result.

use serde_json::json;

use super::{
    args::DoctorArgs,
    console::Console,
    failure::hint,
    style::{Paint, Style, count},
    table::{self, Cell},
    work,
};
use crate::{
    command::{self, Examined, State},
    domain::finding::printable,
    exit_code::ExitCode,
    playbook::Playbook,
    record::EngineError,
};

/// Examines.
pub(super) fn doctor(console: &Console, args: &DoctorArgs) -> Result<ExitCode, EngineError> {
    let loaded = args.playbook.as_deref().map(Playbook::read).transpose()?;
    let playbook = loaded.as_ref().map(|loaded| &loaded.playbook);
    let examined = work::block_on_droppable(command::examine(playbook))?;
    let code = exit_code(&examined);
    if args.json.json {
        json_lines(console, &examined, code);
    } else {
        console.out.lines(&lines(console.options.stdout, &examined));
    }
    Ok(code)
}

fn exit_code(examined: &[Examined]) -> ExitCode {
    let bad = examined.iter().any(|examined| matches!(examined.state, State::Bad));
    if bad { ExitCode::NotVerified } else { ExitCode::Verified }
}

fn lines(style: Style, examined: &[Examined]) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = examined.iter().map(row).collect();
    let mut lines = Vec::new();
    for (line, examined) in table::lines(style, &rows).into_iter().zip(examined) {
        lines.push(line);
        lines.extend(examined.hint.as_deref().map(|text| format!("      {}", hint(style, text).trim_start())));
    }
    lines.push(String::new());
    lines.push(conclusion(examined));
    lines
}

fn row(examined: &Examined) -> Vec<Cell> {
    let (mark, paint) = match examined.state {
        State::Good => ("ok", Paint::Good),
        State::Remark => ("note", Paint::Warn),
        State::Bad => ("bad", Paint::Bad),
    };
    vec![Cell::painted(mark, paint), printable(&examined.subject).into(), printable(&examined.detail).into()]
}

fn conclusion(examined: &[Examined]) -> String {
    match examined.iter().filter(|examined| matches!(examined.state, State::Bad)).count() as u64 {
        0 => "ready".to_owned(),
        bad => format!("not ready: {} in the way", count(bad, "thing", "things")),
    }
}

fn json_lines(console: &Console, examined: &[Examined], code: ExitCode) {
    for examined in examined {
        console.out.typed("examined", examined);
    }
    console.out.typed("result", &json!({"exit_code": code.number()}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_stand_below_what_they_are_about() {
        let examined = |subject: &str, state, hint: Option<&str>| Examined {
            subject: subject.into(),
            state,
            detail: "16.4".into(),
            hint: hint.map(Into::into),
        };
        let all = [examined("initdb", State::Good, None), examined("pg_dump", State::Bad, Some("install it"))];
        let expected =
            ["ok   initdb   16.4", "bad  pg_dump  16.4", "      hint: install it", "", "not ready: 1 thing in the way"];
        assert_eq!(lines(Style::default(), &all), expected);
        assert_eq!((exit_code(&all), exit_code(&all[..1])), (ExitCode::NotVerified, ExitCode::Verified));
    }
}
