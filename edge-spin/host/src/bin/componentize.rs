//! `componentize MODULE COMPONENT`: makes a component of a core module, for toolchains without the target
//! `wasm32-wasip2`, whose linker does the same.

use wit_component::ComponentEncoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, module, component] = arguments.as_slice() else {
        return Err("usage: componentize MODULE COMPONENT".into());
    };
    let encoder = ComponentEncoder::default()
        .validate(true)
        .module(&std::fs::read(module)?);
    std::fs::write(
        component,
        encoder
            .map_err(|error| format!("{error:#}"))?
            .encode()
            .map_err(|error| format!("{error:#}"))?,
    )?;
    Ok(())
}
