#include "state/database.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "state/contents.hpp"
#include "state/copy.hpp"
#include "state/schema.hpp"

namespace vnvme::state {
namespace {

std::string column_names(const Table& table) {
  std::string names;
  for (const Column& column : table.columns) names += '"' + column.name + "\",";
  return names + "check_sum";
}

// "a"=? AND "b"=?
std::string key_condition(const Table& table) {
  std::string condition;
  for (std::size_t i = 0; i < table.keys; ++i)
    condition += std::string(i ? " AND " : "") + '"' + table.columns[i].name + "\"=?";
  return condition;
}

// An upsert by the primary key alone: REPLACE would silently push out another owner's row (I3).
std::string put_sql(const Table& table) {
  std::string marks, keys, sets;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    std::string name = '"' + table.columns[i].name + '"';
    marks += "?,";
    if (i < table.keys) keys += (i ? "," : "") + name;
    if (i >= table.keys) sets += name + "=excluded." + name + ",";
  }
  return "INSERT INTO \"" + std::string(table.name) + "\"(" + column_names(table) + ") VALUES(" + marks +
         "?) ON CONFLICT(" + keys + ") DO UPDATE SET " + sets + "check_sum=excluded.check_sum";
}

Error damaged(const std::string& path, const std::string& what) {
  return {Errc::corrupt, Outcome::not_done,
          "state file " + path + ": " + what +
              ": it is damaged, or another program wrote to it: move it away and start from its second copy"};
}

Row meta_row(const std::string& store_id, std::int64_t commits, std::uint64_t sum) {
  return {store_id, commits, static_cast<std::int64_t>(sum)};
}

bool is_constraint(const Error& error) {
  return error.native == SQLITE_CONSTRAINT_UNIQUE || error.native == SQLITE_CONSTRAINT_TRIGGER;
}

// Which failures are this commit's own, and say nothing of the disk.
bool concerns_one(const Error& error) {
  return error.code == Errc::in_use || error.code == Errc::invalid_argument;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const StoreOptions& options) {
  std::unique_ptr<Database> made(new Database(options));
  VNVME_TRY(made->prepare_file());
  auto size = size_of(options.path);
  if (!size) return fail(std::move(size.error()));
  bool restored = *size == 0 && !options.restore_from.empty();
  if (restored) VNVME_TRY(restore_database(options.restore_from, options.path));
  auto db = Connection::open(options.path, OpenMode::create, options.vfs);
  if (!db) return fail(std::move(db.error()));
  made->db_ = std::move(*db);
  VNVME_TRY(made->check());
  VNVME_TRY(made->read_meta());
  VNVME_TRY(made->prepare_statements());
  if (restored) {
    std::vector<Change> note = {PutNote{"store.restored_from", options.restore_from}};
    VNVME_TRY(made->commit({&note}).front());
  }
  return made;
}

Result<void> Database::prepare_file() {
  auto lock = FileLock::take(options_.path + ".lock");
  if (!lock) return fail(std::move(lock.error()));
  lock_ = std::move(*lock);
  return make_private(options_.path);
}

// Write-ahead log: one fsync a commit (a rollback journal needs three or four, and the front-end waits for
// them), and an administrator may read meanwhile. synchronous=FULL makes each commit durable by itself. No
// mmap: a bad sector must be an error, not a SIGBUS.
Result<void> Database::check() {
  struct stat st {};
  if (::stat(options_.path.c_str(), &st) != 0) return fail(file_error("look at", options_.path, errno));
  device_ = st.st_dev;
  inode_ = st.st_ino;
  VNVME_TRY(db_->run("PRAGMA mmap_size=0; PRAGMA synchronous=FULL"));
  auto verdict = db_->text("PRAGMA integrity_check(1)");
  if (!verdict) return fail(std::move(verdict.error()));
  if (*verdict != "ok") return fail(damaged(options_.path, *verdict));
  VNVME_TRY(migrate(*db_, migrations()));
  VNVME_TRY(check_schema(*db_, migrations()));
  auto mode = db_->text("PRAGMA journal_mode=WAL");
  if (!mode) return fail(std::move(mode.error()));
  if (*mode != "wal")
    return fail(Errc::io, "state file " + options_.path + ": no write-ahead log there (" + *mode + ")");
  return db_->run("PRAGMA journal_size_limit=16777216; PRAGMA wal_autocheckpoint=1000");
}

Result<void> Database::read_meta() {
  auto rows = db_->integer("SELECT count(*) FROM store_meta");
  if (!rows) return fail(std::move(rows.error()));
  if (*rows == 0) {
    auto id = db_->text("SELECT lower(hex(randomblob(8)))");
    if (!id) return fail(std::move(id.error()));
    store_id_ = *id;
    auto insert = db_->prepare("INSERT INTO store_meta VALUES(1, ?, 0, 0, ?)");
    if (!insert) return fail(std::move(insert.error()));
    const Row row = {store_id_, checksum("store_meta", meta_row(store_id_, 0, 0))};
    VNVME_TRY(insert->bind(row, row.size()));
    return insert->run();
  }
  auto select = db_->prepare("SELECT store_id, commits, sum, seal FROM store_meta WHERE id = 1");
  if (!select) return fail(std::move(select.error()));
  auto row = select->step();
  if (!row) return fail(std::move(row.error()));
  if (!*row) return fail(damaged(options_.path, "store_meta has no row 1"));
  store_id_ = select->text(0);
  now_.commits = select->integer(1);
  now_.sum = static_cast<std::uint64_t>(select->integer(2));
  if (select->integer(3) != checksum("store_meta", meta_row(store_id_, now_.commits, now_.sum)))
    return fail(damaged(options_.path, "the seal of store_meta does not fit"));
  commits_ = now_.commits;
  copied_ = -1;  // whether the copy is as new as this file is not known
  return {};
}

Result<void> Database::prepare_statements() {
  for (const Table& table : tables()) {
    Statements& s = statements_[static_cast<std::size_t>(table.id)];
    const std::string name = '"' + std::string(table.name) + '"';
    for (auto [to, sql] :
         {std::pair{&s.put, put_sql(table)},
          std::pair{&s.erase, "DELETE FROM " + name + " WHERE " + key_condition(table)},
          std::pair{&s.sum_of, "SELECT check_sum FROM " + name + " WHERE " + key_condition(table)}}) {
      auto made = db_->prepare(sql);
      if (!made) return fail(std::move(made.error()));
      *to = std::move(*made);
    }
  }
  for (auto [to, sql] : {std::pair{&savepoint_, "SAVEPOINT one"}, std::pair{&release_, "RELEASE one"},
                         std::pair{&back_, "ROLLBACK TO one"},
                         std::pair{&meta_, "UPDATE store_meta SET commits=?, sum=?, seal=? WHERE id = 1"}}) {
    auto made = db_->prepare(sql);
    if (!made) return fail(std::move(made.error()));
    *to = std::move(*made);
  }
  return {};
}

// A file that was removed or replaced while open would take commits into nowhere.
Result<void> Database::still_there() const {
  struct stat st {};
  if (::stat(options_.path.c_str(), &st) == 0 && st.st_dev == device_ && st.st_ino == inode_) return {};
  return fail(
      Errc::corrupt,
      "state file " + options_.path +
          " was removed or replaced while in use: stop the daemon, put the right file there, start it");
}

Result<Snapshot> Database::load() {
  Snapshot snapshot;
  std::uint64_t sum = 0;
  for (const Table& table : tables()) VNVME_TRY(load_table(snapshot, table, sum));
  if (sum != now_.sum)
    return fail(damaged(options_.path, "rows are missing, or came back from an older page"));
  snapshot.fresh = now_.commits == 0;
  return snapshot;
}

Result<void> Database::load_table(Snapshot& to, const Table& table, std::uint64_t& sum) {
  auto select =
      db_->prepare("SELECT " + column_names(table) + " FROM \"" + table.name + "\" ORDER BY " + table.order);
  if (!select) return fail(std::move(select.error()));
  const int last = static_cast<int>(table.columns.size());
  for (;;) {
    auto more = select->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return {};
    Row row;
    row.reserve(table.columns.size());
    for (int i = 0; i < last; ++i) {
      const bool text = table.columns[static_cast<std::size_t>(i)].text;
      if (text ? !select->is_text(i) : !select->is_integer(i))
        return fail(
            damaged(options_.path, std::string("a row of ") + table.name + " has a value of a wrong type"));
      row.push_back(text ? Value(select->text(i)) : Value(select->integer(i)));
    }
    const std::int64_t expected = checksum(table, row);
    if (select->integer(last) != expected)
      return fail(
          damaged(options_.path, std::string("the checksum of a row of ") + table.name + " does not fit"));
    sum += static_cast<std::uint64_t>(expected);
    VNVME_TRY(add_row(to, table.id, row));
  }
}

std::vector<Result<void>> Database::commit(const std::vector<const std::vector<Change>*>& group) {
  std::vector<Result<void>> answers(group.size());
  Result<void> whole = still_there();
  if (whole) {
    whole = commit_group(group, answers);
    if (whole) return answers;
    if (group.size() > 1) {
      // What broke the group may concern one of them only, e.g. one that is too large for the disk.
      for (std::size_t i = 0; i < group.size(); ++i) {
        std::vector<Result<void>> own(1);
        Result<void> alone = commit_group({group[i]}, own);
        answers[i] = alone ? own.front() : alone;
      }
      return answers;
    }
  }
  for (auto& answer : answers) answer = whole;
  return answers;
}

Result<void> Database::commit_group(const std::vector<const std::vector<Change>*>& group,
                                    std::vector<Result<void>>& answers) {
  VNVME_TRY(db_->run("BEGIN IMMEDIATE"));
  Result<void> done = commit_begun(group, answers);
  if (done) return done;
  if (db_->in_transaction()) (void)db_->run("ROLLBACK");
  overwrite_failed();
  return done;
}

Result<void> Database::commit_begun(const std::vector<const std::vector<Change>*>& group,
                                    std::vector<Result<void>>& answers) {
  Meta next = now_;
  for (std::size_t i = 0; i < group.size(); ++i) {
    VNVME_TRY(savepoint_.run());
    Meta with = next;
    answers[i] = apply(*group[i], with);
    if (answers[i]) {
      ++with.commits;
      next = with;
    } else {
      if (!db_->in_transaction() || !concerns_one(answers[i].error())) return answers[i];
      VNVME_TRY(back_.run());
    }
    VNVME_TRY(release_.run());
  }
  if (next.commits == now_.commits) return db_->run("ROLLBACK");
  VNVME_TRY(write_meta(next));
  VNVME_TRY(db_->run("COMMIT"));
  now_ = next;
  commits_ = next.commits;
  return {};
}

Result<void> Database::write_meta(const Meta& meta) {
  const Row row = {meta.commits, static_cast<std::int64_t>(meta.sum),
                   checksum("store_meta", meta_row(store_id_, meta.commits, meta.sum))};
  VNVME_TRY(meta_.bind(row, row.size()));
  return meta_.run();
}

Result<void> Database::apply(const std::vector<Change>& changes, Meta& meta) {
  VNVME_TRY(check_form(changes));
  for (const Change& change : changes) VNVME_TRY(apply(to_row_change(change), meta));
  return {};
}

Result<void> Database::apply(const RowChange& change, Meta& meta) {
  const Table& of = table(change.table);
  Statements& s = statements_[static_cast<std::size_t>(change.table)];
  VNVME_TRY(s.sum_of.bind(change.row, of.keys));
  auto found = s.sum_of.step();
  if (!found) return fail(std::move(found.error()));
  if (*found) meta.sum -= static_cast<std::uint64_t>(s.sum_of.integer(0));
  s.sum_of.reset();
  if (!change.put) {
    if (!*found) return {};
    VNVME_TRY(s.erase.bind(change.row, of.keys));
    return s.erase.run();
  }
  const std::int64_t sum = checksum(of, change.row);
  meta.sum += static_cast<std::uint64_t>(sum);
  VNVME_TRY(s.put.bind(change.row, change.row.size()));
  VNVME_TRY(s.put.bind(static_cast<int>(change.row.size()) + 1, Value(sum)));
  Result<void> done = s.put.run();
  if (done || !is_constraint(done.error())) return done;
  const auto text = [&change](std::size_t at) { return std::get<std::string>(change.row[at]); };
  if (change.table == TableId::attachment) return fail(owner_conflict(text(0), text(1)));
  if (change.table == TableId::reservation) return fail(function_conflict(text(2), text(0)));
  return done;
}

// A commit whose fsync failed may lie complete in the log, and a restart would take it for done though we
// said that it was not. The next transaction overwrites it; if there is room for none now, then the next
// commit will.
void Database::overwrite_failed() {
  if (!db_->run("BEGIN IMMEDIATE")) return;
  // There and back: SQLite writes no page for a row that stays the same.
  Result<void> done = db_->run(
      "UPDATE store_meta SET commits = commits + 1; UPDATE store_meta SET commits = commits - 1; COMMIT");
  if (!done && db_->in_transaction()) (void)db_->run("ROLLBACK");
}

Result<void> Database::copy() {
  if (options_.copy_path.empty() || !copy_due()) return {};
  VNVME_TRY(keep_foreign_copy());
  VNVME_TRY(copy_database(*db_, options_.copy_path));
  copied_ = commits_;
  return {};
}

// After a loss the old copy is all that there is of the names (C5): a store begun anew must not replace it.
Result<void> Database::keep_foreign_copy() {
  if (foreign_copy_kept_) return {};
  auto size = size_of(options_.copy_path);
  if (!size) return fail(std::move(size.error()));
  if (*size > 0) {
    auto id = store_id_of(options_.copy_path);
    if (!id || *id != store_id_) {
      const std::string suffix = id && !id->empty() ? *id : "unreadable";
      VNVME_TRY(rename_file(options_.copy_path, options_.copy_path + "." + suffix));
      VNVME_TRY(sync_folder_of(options_.copy_path));
    }
  }
  foreign_copy_kept_ = true;
  return {};
}

}  // namespace vnvme::state
