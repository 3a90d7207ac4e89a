//! The words of nginx's configuration language.
//!
//! Words are separated by white space; `;` ends a directive, `{` and `}` hold a block, `#` where a
//! word could begin starts a comment. A word may be quoted as a whole by `"` or `'`; a backslash
//! keeps the next character from meaning anything; the brace of `${variable}` opens no block. The
//! body of a `*_by_lua_block` is Lua, and is passed over.

/// A word or a mark, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, without its quotes and escapes.
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// What cannot be read, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// Takes a text apart.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Unreadable> {
    let mut lexer = Lexer { rest: text.chars().peekable(), line: 1, tokens: Vec::new() };
    // The first word of the directive that is being read.
    let mut directive: Option<String> = None;
    while let Some(&next) = lexer.rest.peek() {
        let line = lexer.line;
        let kind = match next {
            c if c.is_ascii_whitespace() => {
                lexer.bump();
                continue;
            }
            '#' => {
                lexer.skip_line();
                continue;
            }
            ';' => lexer.mark(Kind::End),
            '{' => lexer.mark(Kind::Open),
            '}' => lexer.mark(Kind::Close),
            quote @ ('"' | '\'') => Kind::Word(lexer.quoted(quote)?),
            _ => Kind::Word(lexer.bare()),
        };
        match &kind {
            Kind::Word(word) => {
                directive.get_or_insert_with(|| word.clone());
            }
            Kind::Open if directive.take().is_some_and(|word| word.ends_with("_by_lua_block")) => {
                lexer.tokens.push(Token { line, kind });
                lexer.skip_lua()?;
                continue;
            }
            Kind::Open | Kind::Close | Kind::End => directive = None,
        }
        lexer.tokens.push(Token { line, kind });
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn bump(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn mark(&mut self, kind: Kind) -> Kind {
        self.bump();
        kind
    }

    fn skip_line(&mut self) {
        while self.bump().is_some_and(|c| c != '\n') {}
    }

    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(&next) = self.rest.peek() {
            let in_variable = next == '{' && word.ends_with('$');
            if next.is_ascii_whitespace() || next == ';' || (next == '{' && !in_variable) {
                break;
            }
            self.bump();
            if next == '\\' { self.escaped(&mut word) } else { word.push(next) }
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, Unreadable> {
        let begun = self.line;
        self.bump();
        let mut word = String::new();
        loop {
            match self.bump() {
                None => return Err(Unreadable { line: begun, reason: "a quote is not closed" }),
                Some('\\') => self.escaped(&mut word),
                Some(c) if c == quote => return Ok(word),
                Some(c) => word.push(c),
            }
        }
    }

    fn escaped(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }

    /// Passes over Lua up to the brace that closes its block.
    fn skip_lua(&mut self) -> Result<(), Unreadable> {
        let begun = self.line;
        let mut depth = 1_usize;
        while let Some(next) = self.bump() {
            match next {
                '{' => depth += 1,
                '}' if depth == 1 => {
                    self.tokens.push(Token { line: self.line, kind: Kind::Close });
                    return Ok(());
                }
                '}' => depth -= 1,
                '-' if self.rest.peek() == Some(&'-') => self.skip_line(),
                '"' | '\'' => self.skip_lua_string(next),
                _ => {}
            }
        }
        Err(Unreadable { line: begun, reason: "a Lua block is not closed" })
    }

    fn skip_lua_string(&mut self, quote: char) {
        while let Some(next) = self.bump() {
            if next == '\\' {
                self.bump();
            } else if next == quote || next == '\n' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes tokens with a space between them and words in brackets.
    fn told(text: &str) -> String {
        let tokens = lex(text).unwrap();
        let tell = |token: Token| match token.kind {
            Kind::Word(word) => format!("[{word}]"),
            Kind::End => ";".to_owned(),
            Kind::Open => "{".to_owned(),
            Kind::Close => "}".to_owned(),
        };
        tokens.into_iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_quotes_comments_and_variables_are_told_apart() {
        let table = [
            ("a b;", "[a] [b] ;"),
            ("a{b c;}", "[a] { [b] [c] ; }"),
            ("a \"b c;{\" 'd \"e';", "[a] [b c;{] [d \"e] ;"),
            ("# all; of { this\na; # and this", "[a] ;"),
            ("a b#c;", "[a] [b#c] ;"),
            ("set $x ${y}z{", "[set] [$x] [${y}z] {"),
            ("a \\; b\\\"c \"\\t\\d\";", "[a] [\\;] [b\"c] [\t\\d] ;"),
            ("a 'it\\'s';", "[a] [it's] ;"),
            ("rewrite ^/(.*)$ /x?$1;", "[rewrite] [^/(.*)$] [/x?$1] ;"),
        ];
        for (text, expected) in table {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn lua_is_passed_over() {
        let lua = "access_by_lua_block { local t = { a = '}' } -- }\n if x then t = {} end } b;";
        assert_eq!(told(lua), "[access_by_lua_block] { } [b] ;");
    }

    #[test]
    fn lines_are_counted() {
        let tokens = lex("a\n\n  'b\nc'\nd").unwrap();
        let lines: Vec<usize> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn what_is_not_closed_is_told_with_its_line() {
        assert_eq!(lex("a\n\"b").unwrap_err().line, 2);
        assert_eq!(lex("x_by_lua_block {\n").unwrap_err().line, 1);
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_refused(
            text in "[a-z${}\\\\;#'\" \n_-]{0,80}|\\PC{0,80}"
        ) {
            if let Ok(tokens) = lex(&text) {
                let last = text.matches('\n').count() + 1;
                proptest::prop_assert!(tokens.iter().all(|token| token.line <= last));
            }
        }

        #[test]
        fn a_quoted_word_comes_back(word in "\\PC{0,40}") {
            let quoted = word.replace('\\', "\\\\").replace('"', "\\\"");
            let tokens = lex(&format!("\"{quoted}\";")).unwrap();
            proptest::prop_assert_eq!(&tokens[0].kind, &Kind::Word(word));
        }
    }
}
