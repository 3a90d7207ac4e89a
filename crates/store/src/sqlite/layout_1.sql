-- Layout 1. Readable with: sqlite3 journal.db 'select * from record order by rowid desc limit 20'

-- The history since each stream's newest checkpoint (and a little more, until it is archived).
CREATE TABLE record (
  rowid           INTEGER PRIMARY KEY, -- the order of appending
  stream          TEXT    NOT NULL,    -- 'kind/name'
  version         INTEGER NOT NULL,    -- 1, 2, 3, ... within the stream
  at              TEXT    NOT NULL,    -- RFC 3339, UTC, by the writer's clock
  kind            TEXT    NOT NULL,
  schema          INTEGER NOT NULL,    -- version of the body's shape
  must_understand INTEGER NOT NULL,    -- 1: a reader that does not know the kind refuses the stream
  shard           INTEGER NOT NULL,    -- hash of the stream modulo 4096
  epoch           INTEGER NOT NULL,    -- the writer's, see below
  body            TEXT    NOT NULL,    -- JSON
  UNIQUE (stream, version)
) STRICT;

-- What lies before a checkpoint, moved here unchanged.
CREATE TABLE archive (
  rowid           INTEGER PRIMARY KEY,
  stream          TEXT    NOT NULL,
  version         INTEGER NOT NULL,
  at              TEXT    NOT NULL,
  kind            TEXT    NOT NULL,
  schema          INTEGER NOT NULL,
  must_understand INTEGER NOT NULL,
  shard           INTEGER NOT NULL,
  epoch           INTEGER NOT NULL,
  body            TEXT    NOT NULL,
  UNIQUE (stream, version)
) STRICT;

-- Streams that still have records below their newest checkpoint in `record`.
CREATE TABLE superseded (
  stream TEXT    NOT NULL PRIMARY KEY,
  below  INTEGER NOT NULL -- the checkpoint's version
) STRICT, WITHOUT ROWID;

-- The epoch of the writer in office. Whoever takes over raises it; appends under another fail.
CREATE TABLE writer (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL
) STRICT;
INSERT INTO writer (one, epoch) VALUES (1, 0);
