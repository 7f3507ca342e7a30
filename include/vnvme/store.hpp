// The store port: durable memory, one writer.
#pragma once
#include <vector>

#include "vnvme/records.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme {

class Store {
 public:
  virtual ~Store() = default;
  // Everything that was committed. Called once, before the first commit.
  virtual Task<Result<Snapshot>> load() = 0;
  // All or nothing, durable (fsync) when it completes. An error means not_done: nothing of it will ever be
  // seen. Commits are applied in the order of the calls. A second read-write owner of one volume is refused
  // with `in_use` by a UNIQUE constraint of the store itself (I3), whatever the caller believes.
  virtual Task<Result<void>> commit(std::vector<Change> changes) = 0;
};

}  // namespace vnvme
