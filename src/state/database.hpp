// The state file, with blocking calls: whoever calls has a thread to wait with.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "state/file_lock.hpp"
#include "state/options.hpp"
#include "state/row_codec.hpp"
#include "state/sqlite.hpp"
#include "vnvme/records.hpp"

namespace vnvme::state {

class Database {
 public:
  // Makes the file when it is absent. Checks all of it: `corrupt` says that it cannot be trusted.
  static Result<std::unique_ptr<Database>> open(const StoreOptions& options);

  Result<Snapshot> load();

  // Each commit is all or nothing, on its own; all that succeed become durable by one transaction. One answer
  // each.
  std::vector<Result<void>> commit(const std::vector<const std::vector<Change>*>& group);

  // Has something been committed since the last copy?
  [[nodiscard]] bool copy_due() const { return copied_ != commits_; }
  // Writes the second copy: complete, on disk, under its final name by one rename.
  Result<void> copy();

 private:
  struct Statements {
    Statement put, erase, sum_of;
  };
  // What store_meta holds; becomes true with the transaction.
  struct Meta {
    std::int64_t commits = 0;
    std::uint64_t sum = 0;
  };

  explicit Database(StoreOptions options) : options_(std::move(options)) {}
  Result<void> prepare_file();
  Result<void> check();
  Result<void> read_meta();
  Result<void> write_meta(const Meta& meta);
  Result<void> prepare_statements();
  Result<void> still_there() const;
  Result<void> load_table(Snapshot& to, const Table& table, std::uint64_t& sum);

  Result<void> commit_group(const std::vector<const std::vector<Change>*>& group,
                            std::vector<Result<void>>& answers);
  Result<void> commit_begun(const std::vector<const std::vector<Change>*>& group,
                            std::vector<Result<void>>& answers);
  Result<void> apply(const std::vector<Change>& changes, Meta& meta);
  Result<void> apply(const RowChange& change, Meta& meta);
  void overwrite_failed();

  Result<void> keep_foreign_copy();

  StoreOptions options_;
  FileLock lock_;
  std::unique_ptr<Connection> db_;
  std::array<Statements, kTables> statements_;
  Statement savepoint_, release_, back_, meta_;
  std::string store_id_;
  Meta now_;
  std::int64_t commits_ = 0, copied_ = 0;
  bool foreign_copy_kept_ = false;
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace vnvme::state
