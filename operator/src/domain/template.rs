//! Templates that people write into a spec: strict about names that do not exist, and with an end.

use minijinja::{Environment, UndefinedBehavior, Value};

/// Steps that a template may take: enough for some thousand pins, and an end for one that loops.
const FUEL: u64 = 500_000;

/// What a template gives.
///
/// # Errors
/// Words for a person where it is not valid or takes too long.
pub fn render(template: &str, context: Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_str(template, context).map_err(|error| error.to_string())
}
