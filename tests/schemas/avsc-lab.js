// avsc at the end of a pipe: lines {"op":"read","type":…,"body":hex} give {"event":…}, lines {"op":"write","type":…,
// "event":…} give {"body":hex}. Longs are decimal text, texts and bytes hex, enums numbers. Run with the folder of
// node_modules and that of the .avsc files.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const avro = require(path.join(process.argv[2], 'avsc'));

const long = avro.types.LongType.__with({
  fromBuffer: (buffer) => buffer.readBigInt64LE(),
  toBuffer: (value) => { const buffer = Buffer.alloc(8); buffer.writeBigInt64LE(value); return buffer; },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value) => typeof value === 'bigint',
  compare: (a, b) => (a === b ? 0 : a < b ? -1 : 1),
});

const types = {};
for (const name of ['headcount-change', 'unit-merger', 'page-visit', 'dead-letter']) {
  const schema = JSON.parse(fs.readFileSync(path.join(process.argv[3], `${name}.avsc`), 'utf8'));
  types[name] = avro.Type.forSchema(schema, { typeHook: (each) => (each === 'long' || each.type === 'long' ? long : undefined) });
}

const hex = (text) => Buffer.from(text, 'utf8').toString('hex');
const text = (value) => Buffer.from(value, 'hex').toString('utf8');

function given(type, value) {
  if (value === null) return null;
  switch (type.typeName) {
    case 'record': return Object.fromEntries(type.fields.map((f) => [f.name, given(f.type, value[f.name])]));
    case 'array': return value.map((item) => given(type.itemsType, item));
    case 'enum': return type.symbols.indexOf(value);
    case 'union:unwrapped': return given(type.types[1], value);
    case 'long': case 'abstract:long': return String(value);
    case 'string': return hex(value);
    case 'bytes': case 'fixed': return Buffer.from(value).toString('hex');
    default: return value;
  }
}

function taken(type, value) {
  if (value === null) return null;
  switch (type.typeName) {
    case 'record': {
      const Record = type.recordConstructor;
      return new Record(...type.fields.map((f) => taken(f.type, value[f.name])));
    }
    case 'array': return value.map((item) => taken(type.itemsType, item));
    case 'enum': return type.symbols[value];
    case 'union:unwrapped': return taken(type.types[1], value);
    case 'long': case 'abstract:long': return BigInt(value);
    case 'string': return text(value);
    case 'bytes': case 'fixed': return Buffer.from(value, 'hex');
    default: return value;
  }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  const type = types[request.type];
  let answer;
  try {
    answer = request.op === 'read'
      ? { event: given(type, type.fromBuffer(Buffer.from(request.body, 'hex'))) }
      : { body: type.toBuffer(taken(type, request.event)).toString('hex') };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
