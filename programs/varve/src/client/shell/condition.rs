//! `[ … ]`, `[[ … ]]` and `test …`: comparisons of texts, and whether files are there.

use std::path::Path;

use super::Reader;
use super::words::Token;

/// An end that is found when the words have been used up.
struct Malformed;

impl Reader<'_> {
    /// Whether it holds; `None` if it isn't understood.
    pub(super) fn test(&mut self, live: bool) -> Option<bool> {
        let opening = self.peek_word()?.plain()?;
        let closing = match opening {
            "[" => Some("]"),
            "[[" => Some("]]"),
            _ => None,
        };
        self.at += 1;
        let mut operands = Some(Vec::new());
        loop {
            match self.peek() {
                Some(Token::Word(word)) => {
                    if closing.is_some() && word.plain() == closing {
                        self.at += 1;
                        break;
                    }
                    // In doubled brackets the right side may be a pattern.
                    let is_pattern = closing == Some("]]")
                        && word.plain().is_some_and(|text| text.contains(['*', '?', '[']));
                    match (self.expand(word).filter(|_| !is_pattern), &mut operands) {
                        (Some(text), Some(operands)) => operands.push(text),
                        _ => operands = None,
                    }
                    self.at += 1;
                }
                Some(Token::And | Token::Or) if closing == Some("]]") => {
                    let word = if matches!(self.peek(), Some(Token::And)) { "-a" } else { "-o" };
                    operands.iter_mut().for_each(|operands| operands.push(word.to_owned()));
                    self.at += 1;
                }
                Some(Token::Operator(_)) if closing.is_some() => {
                    operands = None;
                    self.at += 1;
                }
                _ if closing.is_some() => return None,
                _ => break,
            }
        }
        let operands = operands.filter(|_| live)?;
        let mut operands = operands.iter().map(String::as_str).collect::<Vec<_>>().into_iter().peekable();
        let mut holds = term(&mut operands).ok()?;
        while let Some(operator) = operands.next() {
            let next = term(&mut operands).ok()?;
            match operator {
                "-a" => holds &= next,
                "-o" => holds |= next,
                _ => return None,
            }
        }
        Some(holds)
    }
}

type Operands<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn term(operands: &mut Operands<'_>) -> Result<bool, Malformed> {
    let first = operands.next().ok_or(Malformed)?;
    if let Some(&operator @ ("=" | "==" | "!=" | "-eq" | "-ne")) = operands.peek() {
        operands.next();
        let second = operands.next().ok_or(Malformed)?;
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| Malformed);
        return Ok(match operator {
            "!=" => first != second,
            "-eq" => number(first)? == number(second)?,
            "-ne" => number(first)? != number(second)?,
            _ => first == second,
        });
    }
    let end = |operands: &mut Operands<'_>| matches!(operands.peek(), None | Some(&("-a" | "-o")));
    if end(operands) {
        return Ok(!first.is_empty());
    }
    if first == "!" {
        return term(operands).map(|holds| !holds);
    }
    let operand = operands.next().ok_or(Malformed)?;
    let path = Path::new(operand);
    match first {
        "-n" => Ok(!operand.is_empty()),
        "-z" => Ok(operand.is_empty()),
        "-e" | "-r" => Ok(path.exists()),
        "-f" => Ok(path.is_file()),
        "-d" => Ok(path.is_dir()),
        "-s" => Ok(path.metadata().is_ok_and(|metadata| metadata.len() > 0)),
        _ => Err(Malformed),
    }
}
