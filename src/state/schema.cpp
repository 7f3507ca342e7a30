#include "state/schema.hpp"

#include <array>

namespace vnvme::state {
namespace {

// Columns are what an administrator sees with the sqlite3 shell. `check_sum` is the row's checksum (row.hpp).
// store_meta has one row: `commits` counts them, `sum` adds up the checksums of all rows (so that a row that
// vanished, or came back from an old page, is noticed), and `seal` is the checksum of the other three.
//
// The rules of contents.cpp once more, as constraints: the index keeps a second read-write owner out (I3),
// the triggers keep read-only and read-write apart, reservation_function gives a function to one VM (I4).
constexpr const char* kVersion1 = R"sql(
CREATE TABLE store_meta(
  id INTEGER PRIMARY KEY CHECK(id = 1), store_id TEXT NOT NULL, commits INTEGER NOT NULL,
  sum INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT;
CREATE TABLE sr(
  id TEXT PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, state TEXT NOT NULL,
  dpu TEXT NOT NULL, pool TEXT NOT NULL, pool_name TEXT NOT NULL, drives TEXT NOT NULL, serials TEXT NOT NULL,
  raid_level TEXT NOT NULL, raid_name TEXT NOT NULL, strip_kib INTEGER NOT NULL, provisioning TEXT NOT NULL,
  wipe TEXT NOT NULL, attached INTEGER NOT NULL, total INTEGER NOT NULL, free INTEGER NOT NULL,
  cluster INTEGER NOT NULL, adopted INTEGER NOT NULL, check_sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE volume(
  id TEXT PRIMARY KEY, sr TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, keys TEXT NOT NULL,
  kind TEXT NOT NULL, state TEXT NOT NULL, size INTEGER NOT NULL, dpu_name TEXT NOT NULL, dpu_id TEXT NOT NULL,
  parent TEXT NOT NULL, sharable INTEGER NOT NULL, rename_pending INTEGER NOT NULL, seq INTEGER NOT NULL,
  check_sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE attachment(
  volume TEXT NOT NULL, owner TEXT NOT NULL, domains TEXT NOT NULL, function TEXT NOT NULL, dpu TEXT NOT NULL,
  nsid INTEGER NOT NULL, mode TEXT NOT NULL CHECK(mode IN ('none','ro','rw')), state TEXT NOT NULL,
  boot_id TEXT NOT NULL, device TEXT NOT NULL, check_sum INTEGER NOT NULL,
  PRIMARY KEY(volume, owner)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX attachment_writer ON attachment(volume) WHERE mode = 'rw';
CREATE TRIGGER attachment_insert BEFORE INSERT ON attachment WHEN NEW.mode <> 'none' BEGIN
  SELECT RAISE(ABORT, 'owner') FROM attachment WHERE volume = NEW.volume AND owner <> NEW.owner
    AND mode <> 'none' AND (mode = 'rw' OR NEW.mode = 'rw');
END;
CREATE TRIGGER attachment_update BEFORE UPDATE ON attachment WHEN NEW.mode <> 'none' BEGIN
  SELECT RAISE(ABORT, 'owner') FROM attachment WHERE volume = NEW.volume AND owner <> NEW.owner
    AND mode <> 'none' AND (mode = 'rw' OR NEW.mode = 'rw');
END;
CREATE TABLE reservation(
  vm TEXT NOT NULL, dpu TEXT NOT NULL, function TEXT NOT NULL, serial TEXT NOT NULL,
  check_sum INTEGER NOT NULL, PRIMARY KEY(vm, dpu)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reservation_function ON reservation(dpu, function) WHERE function <> '';
CREATE TABLE nsid(
  owner TEXT NOT NULL, volume TEXT NOT NULL, nsid INTEGER NOT NULL, check_sum INTEGER NOT NULL,
  PRIMARY KEY(owner, volume)) STRICT, WITHOUT ROWID;
CREATE TABLE intent(
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, sr TEXT NOT NULL, volume TEXT NOT NULL, facts TEXT NOT NULL,
  request TEXT NOT NULL, check_sum INTEGER NOT NULL) STRICT;
CREATE TABLE request(
  id TEXT PRIMARY KEY, method TEXT NOT NULL, answer TEXT NOT NULL, wall_seconds INTEGER NOT NULL,
  check_sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE note(
  key TEXT PRIMARY KEY, value TEXT NOT NULL, check_sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
)sql";

constexpr std::array<Migration, 1> kMigrations = {{{1, kVersion1}}};

Error foreign(const Connection& db) {
  return {Errc::corrupt, Outcome::not_done,
          "state file " + db.path() +
              ": it is not vnvme's, or its header is damaged: move it away and start from its second copy"};
}

Result<void> run_steps(Connection& db, std::span<const Migration> steps, std::int64_t from) {
  for (const Migration& step : steps)
    if (step.to > from) VNVME_TRY(db.run(step.sql));
  VNVME_TRY(db.run("PRAGMA application_id=" + std::to_string(kApplicationId)));
  VNVME_TRY(db.run("PRAGMA user_version=" + std::to_string(steps.back().to)));
  return db.run("COMMIT");
}

Result<std::string> schema_text(Connection& db) {
  auto select = db.prepare(
      "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || sql FROM sqlite_schema "
      "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name");
  if (!select) return fail(std::move(select.error()));
  std::string text;
  for (;;) {
    auto more = select->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return text;
    text += select->text(0) + '\n';
  }
}

}  // namespace

Result<void> check_schema(Connection& db, std::span<const Migration> steps) {
  auto found = schema_text(db);
  if (!found) return fail(foreign(db));
  auto model = Connection::open(":memory:", OpenMode::create, "");
  if (!model) return fail(std::move(model.error()));
  VNVME_TRY(migrate(**model, steps));
  auto wanted = schema_text(**model);
  if (!wanted) return fail(std::move(wanted.error()));
  if (*found != *wanted) return fail(foreign(db));
  return {};
}

std::span<const Migration> migrations() {
  return kMigrations;
}

Result<void> migrate(Connection& db, std::span<const Migration> steps) {
  auto version = db.integer("PRAGMA user_version");
  if (!version) return fail(std::move(version.error()));
  auto application = db.integer("PRAGMA application_id");
  if (!application) return fail(std::move(application.error()));
  auto objects = db.integer("SELECT count(*) FROM sqlite_schema");
  if (!objects) return fail(std::move(objects.error()));
  const std::int64_t known = steps.back().to;
  const bool empty = *objects == 0 && *version == 0 && *application == 0;
  if (!empty && (*application != kApplicationId || *version < 1 || *objects == 0)) return fail(foreign(db));
  if (*version > known)
    return fail(Errc::not_supported, "state file " + db.path() + " has schema version " +
                                         std::to_string(*version) +
                                         ", and this vnvmed knows versions up to " + std::to_string(known) +
                                         ": install the vnvme that wrote it, or a later one");
  if (*version == known) return {};
  VNVME_TRY(db.run("BEGIN IMMEDIATE"));
  Result<void> done = run_steps(db, steps, *version);
  // SQLite may have rolled back by itself; then this second one has nothing to do.
  if (!done && db.in_transaction()) (void)db.run("ROLLBACK");
  return done;
}

}  // namespace vnvme::state
