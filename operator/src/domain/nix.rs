//! Text of a default.nix, parsed without being evaluated. What an author writes must not hurt us: the text is bounded, and so is the stack.

use rnix::Root;

/// Largest default.nix that is read, in bytes. rnix takes quadratic time for chains of operators, and a frame of stack for each level: this
/// bounds both, and real files are smaller.
pub(super) const MAX: usize = 16 << 10;

/// Stack for rnix: enough for a file of [`MAX`] bytes that is nothing but nesting. Only what is touched is memory.
const STACK: usize = 256 << 20;

/// Parses the text and looks at its tree, on a thread of its own: the depth of the tree is the author's choice, and a stack that overflows ends
/// the whole program.
///
/// # Errors
/// Words, where it is no nix expression. A tree with errors is not looked at: rnix panics on some of their strings.
pub(super) fn look<T: Send>(text: &str, at: impl FnOnce(&Root) -> T + Send) -> Result<T, String> {
    let parse = || {
        let parsed = Root::parse(text);
        match parsed.errors().first() {
            Some(error) => Err(error.to_string()),
            None => Ok(at(&parsed.tree())),
        }
    };
    std::thread::scope(|scope| {
        let parsing = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse);
        let failed = || "it is nested too deep".to_owned();
        parsing.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}
