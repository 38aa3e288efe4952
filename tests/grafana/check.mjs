// Type-checks every dashboard of config/grafana against Grafana's schema. JSON is valid TypeScript,
// so each file is written as a typed literal and compiled. Unknown members are errors as well.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = fileURLToPath(new URL('.', import.meta.url));
const dashboards = join(here, '..', '..', 'config', 'grafana');

const options = {
  strict: true,
  noEmit: true,
  skipLibCheck: true, // the schema's own declarations are not checked
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
};

const checked = new Map();
for (const name of readdirSync(dashboards).filter((name) => name.endsWith('.json'))) {
  const json = readFileSync(join(dashboards, name), 'utf8');
  checked.set(join(here, `${basename(name, '.json')}.check.ts`), `import type { DashboardFile } from './schema';\nexport const dashboard: DashboardFile =\n${json};\n`);
}
// A wrong dashboard, which proves that the check rejects something.
const wrong = join(here, 'wrong.check.ts');
checked.set(wrong, `import type { DashboardFile } from './schema';\nexport const dashboard: DashboardFile = {\n  schemaVersion: 39, annotations: { list: [] },\n  panels: [{ type: 'stat', colour: 'red' }] };\n`);

const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (path) => checked.has(path) || fileExists(path);
host.readFile = (path) => checked.get(path) ?? readFile(path);
host.getSourceFile = (path, ...rest) =>
  checked.has(path) ? ts.createSourceFile(path, checked.get(path), options.target, true) : getSourceFile(path, ...rest);

const program = ts.createProgram([...checked.keys()], options, host);
const found = ts.getPreEmitDiagnostics(program);
const unexpected = found.filter((d) => d.file?.fileName !== wrong);
if (unexpected.length > 0) {
  console.error(ts.formatDiagnostics(unexpected, { getCanonicalFileName: (f) => f, getCurrentDirectory: () => here, getNewLine: () => '\n' }));
  process.exit(1);
}
if (found.length === unexpected.length) {
  console.error('a wrong dashboard was accepted: nothing was checked');
  process.exit(1);
}
if (checked.size < 3) {
  console.error('found no dashboards');
  process.exit(1);
}
