// A SQLite VFS in memory that knows what a disk has really got. It can fail the n-th call, and it can lose
// power: then of everything that was written after a file's last sync any part is there and any part is not.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace vnvme::state {

class TestVfs {
 public:
  enum class Fault {
    none,
    io,         // every kind of call fails with the I/O error of its kind
    full,       // what needs room fails: ENOSPC
    read_only,  // what writes fails: EROFS
  };

  // Registers itself under a name of its own.
  TestVfs();
  TestVfs(const TestVfs&) = delete;
  TestVfs& operator=(const TestVfs&) = delete;
  ~TestVfs();
  [[nodiscard]] const std::string& name() const { return name_; }

  // The n-th call from now on that this fault concerns fails, and so do all after it when `lasting`. 0: none.
  void fail_at(std::uint64_t n, Fault fault, bool lasting);
  void heal() { fail_at(0, Fault::none, false); }
  [[nodiscard]] bool fired() const { return fired_; }
  [[nodiscard]] std::uint64_t syncs() const { return syncs_; }

  // What a restart finds after the power failed: call it when no connection is open any more, or forget those
  // that are.
  void lose_power(std::mt19937_64& dice);
  // What a restart finds after kill -9: everything that was written. `to` gets the files.
  void copy_to(TestVfs& to) const;
  // The database and its companions get other names.
  void rename(const std::string& from, const std::string& to);

 private:
  friend struct TestVfsCalls;
  struct Write {
    std::uint64_t offset;  // kTruncate: `data` is empty and `size` is the new size
    std::string data;
    bool truncate = false;
  };
  struct File {
    std::string live, durable;
    std::vector<Write> pending;  // since the last sync, in order
    bool name_durable = false;   // was it ever synced (and its folder with it)?
    std::vector<std::unique_ptr<char[]>> shared;
  };
  enum class Kind { other, write, room };
  // SQLITE_OK, or the error to answer instead of working.
  int call(Kind kind, int io_error);

  std::string name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::map<std::string, File> files_;
  Fault fault_ = Fault::none;
  std::uint64_t countdown_ = 0;
  bool lasting_ = false, fired_ = false;
  std::uint64_t syncs_ = 0;
};

}  // namespace vnvme::state
