// Makes dist/ from src/: files that browsers may keep for ever have the hash of their content in their name.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const version = process.env.CONTAINER_APP_VERSION ?? "dev";
mkdirSync("dist", { recursive: true });

const hashed = {};
for (const name of ["app.js", "style.css"]) {
  const text = readFileSync(`src/${name}`, "utf8").replaceAll("__VERSION__", version);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  hashed[name] = name.replace(".", `-${hash}.`);
  writeFileSync(`dist/${hashed[name]}`, text);
}

let page = readFileSync("src/index.html", "utf8");
for (const [name, to] of Object.entries(hashed)) page = page.replaceAll(name, to);
writeFileSync("dist/index.html", page);
writeFileSync("dist/manifest.json", JSON.stringify({ version, node: process.version, script: hashed["app.js"] }));
