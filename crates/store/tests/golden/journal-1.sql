PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO record VALUES(13,'certificate/www',13,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":13}');
INSERT INTO record VALUES(14,'certificate/www',14,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":14}');
INSERT INTO record VALUES(15,'certificate/www',15,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":15}');
INSERT INTO record VALUES(16,'certificate/www',16,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":16}');
INSERT INTO record VALUES(17,'certificate/www',17,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":17}');
INSERT INTO record VALUES(18,'certificate/www',18,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":18}');
INSERT INTO record VALUES(19,'certificate/www',19,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":19}');
INSERT INTO record VALUES(20,'certificate/www',20,'1970-01-01T00:00:00Z','checkpoint',1,0,3716,2,'{"version":20}');
INSERT INTO record VALUES(21,'certificate/www',21,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":21}');
INSERT INTO record VALUES(22,'certificate/www',22,'1970-01-01T00:00:00Z','noted',1,0,3716,2,'{"version":22}');
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
INSERT INTO archive VALUES(1,'certificate/www',1,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":1}');
INSERT INTO archive VALUES(2,'certificate/www',2,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":2}');
INSERT INTO archive VALUES(3,'certificate/www',3,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":3}');
INSERT INTO archive VALUES(4,'certificate/www',4,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":4}');
INSERT INTO archive VALUES(5,'certificate/www',5,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":5}');
INSERT INTO archive VALUES(6,'certificate/www',6,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":6}');
INSERT INTO archive VALUES(7,'certificate/www',7,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":7}');
INSERT INTO archive VALUES(8,'certificate/www',8,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":8}');
INSERT INTO archive VALUES(9,'certificate/www',9,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":9}');
INSERT INTO archive VALUES(10,'certificate/www',10,'1970-01-01T00:00:00Z','checkpoint',1,0,3716,1,'{"version":10}');
INSERT INTO archive VALUES(11,'certificate/www',11,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":11}');
INSERT INTO archive VALUES(12,'certificate/www',12,'1970-01-01T00:00:00Z','noted',1,0,3716,1,'{"version":12}');
CREATE TABLE superseded (
  stream TEXT    NOT NULL PRIMARY KEY,
  below  INTEGER NOT NULL -- the checkpoint's version
) STRICT, WITHOUT ROWID;
INSERT INTO superseded VALUES('certificate/www',20);
CREATE TABLE writer (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL
) STRICT;
INSERT INTO writer VALUES(1,2);
COMMIT;
PRAGMA application_id=1347571276;
PRAGMA user_version=1;
