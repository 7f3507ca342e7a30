// A store without a disk: the same rules and the same order as the SQLite
// store, for tests and for the whole-system simulation. Nothing of it is durable.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "state/contents.hpp"
#include "vnvme/store.hpp"

namespace vnvme::state {

class MemoryStore : public Store {
 public:
  // May be called once at most before the first commit, as the port says; more often does no harm.
  Task<Result<Snapshot>> load() override;
  // Takes effect when the call begins, answers in a later turn of the caller's executor: as with a disk, a
  // caller that dies in between finds its commit done.
  Task<Result<void>> commit(std::vector<Change> changes) override;

  // What load() would answer now; `fresh` while nothing was ever committed.
  [[nodiscard]] Snapshot contents() const;
  [[nodiscard]] std::uint64_t commits() const { return commits_; }

  // Called with each commit before anything changes; an error is the commit's answer, and nothing changes.
  std::function<Result<void>(const std::vector<Change>&)> before_commit;

 private:
  Result<void> apply(const std::vector<Change>& changes);

  Contents contents_;
  std::uint64_t commits_ = 0;
};

}  // namespace vnvme::state
