// SQLite's C interface behind values: connections and statements that close
// themselves, errors as Error.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "state/row.hpp"
#include "vnvme/result.hpp"

namespace vnvme::state {

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3_stmt* handle, const std::string* file) : handle_(handle), file_(file) {}

  // Parameters from 1. The text must live until the next reset().
  Result<void> bind(int at, const Value& value);
  // Binds all of them, from 1.
  Result<void> bind(const Row& row, std::size_t count);
  // True: there is a row. False: done.
  Result<bool> step();
  // Steps to the end, and makes the statement ready for the next use whatever came.
  Result<void> run();
  // Never fails: it repeats the error of the last step, which is known already.
  void reset();
  [[nodiscard]] int changes() const { return sqlite3_changes(sqlite3_db_handle(handle_.get())); }

  [[nodiscard]] bool is_integer(int column) const {
    return sqlite3_column_type(handle_.get(), column) == SQLITE_INTEGER;
  }
  [[nodiscard]] bool is_text(int column) const {
    return sqlite3_column_type(handle_.get(), column) == SQLITE_TEXT;
  }
  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  [[nodiscard]] std::string text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  const std::string* file_ = nullptr;  // the connection's path, for error texts
};

enum class OpenMode { create, existing, read_only };

class Connection {
 public:
  // vfs: a registered SQLite VFS; empty for the system's.
  static Result<std::unique_ptr<Connection>> open(std::string path, OpenMode mode, const std::string& vfs);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  Result<Statement> prepare(const std::string& sql);
  // Any number of statements without parameters; rows are dropped.
  Result<void> run(const std::string& sql);
  // The first column of the first row.
  Result<std::int64_t> integer(const std::string& sql);
  Result<std::string> text(const std::string& sql);

  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] sqlite3* native() { return handle_.get(); }
  [[nodiscard]] Error error(int code, std::string_view step) const;

 private:
  explicit Connection(std::string path) : path_(std::move(path)) {}
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// What SQLite's code means to us. Never `unknown`: a failed statement is rolled back.
Error sqlite_error(int code, std::string_view message, const std::string& path, std::string_view step);

}  // namespace vnvme::state
