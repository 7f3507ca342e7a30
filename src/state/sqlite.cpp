#include "state/sqlite.hpp"

#include <limits>

namespace vnvme::state {
namespace {

Errc meaning(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::corrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::busy;
    case SQLITE_CONSTRAINT:
      return Errc::in_use;
    case SQLITE_TOOBIG:
      return Errc::invalid_argument;
    case SQLITE_MISUSE:
    case SQLITE_ERROR:
      return Errc::internal;
    default:
      return Errc::io;
  }
}

const char* advice(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return "; dom0's disk is full: make room, the daemon goes on by itself";
    case SQLITE_READONLY:
      return "; the file or its file system is read-only";
    case SQLITE_CANTOPEN:
      return "; do the folder and its permissions let this process write?";
    case SQLITE_BUSY:
      return "; another program holds it open in a transaction";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "; it is damaged: move it away and start from its second copy";
    default:
      return "";
  }
}

}  // namespace

Error sqlite_error(int code, std::string_view message, const std::string& path, std::string_view step) {
  Error e;
  e.code = meaning(code);
  e.text = "state file " + path + ": " + std::string(message) + advice(code);
  e.step = std::string(step);
  e.native = code;
  return e;
}

Result<void> Statement::bind(int at, const Value& value) {
  int rc;
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    rc = sqlite3_bind_int64(handle_.get(), at, *number);
  } else {
    const std::string& text = *std::get_if<std::string>(&value);
    rc = sqlite3_bind_text64(handle_.get(), at, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  if (rc != SQLITE_OK) return fail(sqlite_error(rc, sqlite3_errstr(rc), *file_, "bind"));
  return {};
}

Result<void> Statement::bind(const Row& row, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) VNVME_TRY(bind(static_cast<int>(i) + 1, row[i]));
  return {};
}

Result<bool> Statement::step() {
  int rc = sqlite3_step(handle_.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  sqlite3* db = sqlite3_db_handle(handle_.get());
  rc = sqlite3_extended_errcode(db);
  Error error = sqlite_error(rc, sqlite3_errmsg(db), *file_, sqlite3_sql(handle_.get()));
  reset();
  return fail(std::move(error));
}

Result<void> Statement::run() {
  for (;;) {
    auto more = step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) break;
  }
  reset();
  return {};
}

void Statement::reset() {
  (void)sqlite3_reset(handle_.get());
  (void)sqlite3_clear_bindings(handle_.get());
}

std::string Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  int size = sqlite3_column_bytes(handle_.get(), column);
  return data && size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Result<std::unique_ptr<Connection>> Connection::open(std::string path, OpenMode mode,
                                                     const std::string& vfs) {
  std::unique_ptr<Connection> made(new Connection(std::move(path)));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (mode == OpenMode::read_only)
    flags |= SQLITE_OPEN_READONLY;
  else
    flags |= SQLITE_OPEN_READWRITE | (mode == OpenMode::create ? SQLITE_OPEN_CREATE : 0);
  sqlite3* handle = nullptr;
  int rc = sqlite3_open_v2(made->path_.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  made->handle_.reset(handle);
  if (rc != SQLITE_OK) return fail(made->error(rc, "open"));
  // An administrator who looks with sqlite3 may hold it for a moment.
  (void)sqlite3_busy_timeout(handle, 2000);
  (void)sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  VNVME_TRY(made->run("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY"));
  return made;
}

Error Connection::error(int code, std::string_view step) const {
  const char* message = handle_ ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code);
  return sqlite_error(code, message, path_, step);
}

Result<Statement> Connection::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sql.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    return fail(Errc::internal, "SQL text too long");
  int rc = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                              SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (rc != SQLITE_OK) return fail(error(rc, sql));
  return Statement(statement, &path_);
}

Result<void> Connection::run(const std::string& sql) {
  int rc = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return fail(error(sqlite3_extended_errcode(handle_.get()), sql.substr(0, 80)));
  return {};
}

Result<std::int64_t> Connection::integer(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement) return fail(std::move(statement.error()));
  auto row = statement->step();
  if (!row) return fail(std::move(row.error()));
  if (!*row || !statement->is_integer(0))
    return fail(Errc::corrupt, "state file " + path_ + ": no number where one must be (" + sql + ")");
  return statement->integer(0);
}

Result<std::string> Connection::text(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement) return fail(std::move(statement.error()));
  auto row = statement->step();
  if (!row) return fail(std::move(row.error()));
  if (!*row || !statement->is_text(0))
    return fail(Errc::corrupt, "state file " + path_ + ": no text where one must be (" + sql + ")");
  return statement->text(0);
}

}  // namespace vnvme::state
