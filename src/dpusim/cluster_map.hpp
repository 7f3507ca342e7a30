// Which cluster of the base device holds which cluster of an lvol. Kept as runs: a thin terabyte costs
// nothing.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

namespace vnvme::sim {

struct Run {
  std::uint64_t index;    // first cluster of the lvol
  std::uint64_t cluster;  // first cluster of the base device
  std::uint64_t length;
};

class ClusterMap {
 public:
  // The base cluster, or 0 (cluster 0 holds metadata, never data).
  [[nodiscard]] std::uint64_t find(std::uint64_t index) const;
  void insert(const Run& run);  // the indexes must be unmapped
  // Unmaps everything at or after `index` and gives what was there.
  std::vector<Run> cut(std::uint64_t index);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::vector<Run> runs() const;
  void clear() { runs_.clear(), count_ = 0; }

 private:
  std::map<std::uint64_t, Run> runs_;
  std::uint64_t count_ = 0;
};

// The free clusters of a store; the lowest free one is taken first, as SPDK does.
class ClusterPool {
 public:
  ClusterPool(std::uint64_t first, std::uint64_t end)
      : used_(end, false), first_(first), hint_(first), free_(end - first) {}
  // Takes `count` clusters, or none when there are not enough.
  std::vector<Run> take(std::uint64_t count);
  bool claim(const Run& run);  // false when one of them is taken or out of range
  void give(const Run& run);
  void grow(std::uint64_t end);
  [[nodiscard]] std::uint64_t free() const { return free_; }
  [[nodiscard]] std::uint64_t end() const { return used_.size(); }

 private:
  std::vector<bool> used_;
  std::uint64_t first_, hint_, free_;
};

}  // namespace vnvme::sim
