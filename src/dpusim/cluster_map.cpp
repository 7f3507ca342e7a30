#include "dpusim/cluster_map.hpp"

#include <algorithm>

namespace vnvme::sim {

std::uint64_t ClusterMap::find(std::uint64_t index) const {
  auto it = runs_.upper_bound(index);
  if (it == runs_.begin()) return 0;
  const Run& run = std::prev(it)->second;
  return index < run.index + run.length ? run.cluster + (index - run.index) : 0;
}

void ClusterMap::insert(const Run& run) {
  count_ += run.length;
  auto it = runs_.upper_bound(run.index);
  if (it != runs_.begin()) {
    Run& before = std::prev(it)->second;
    if (before.index + before.length == run.index && before.cluster + before.length == run.cluster) {
      before.length += run.length;
      return;
    }
  }
  runs_[run.index] = run;
}

std::vector<Run> ClusterMap::cut(std::uint64_t index) {
  std::vector<Run> gone;
  auto it = runs_.upper_bound(index);
  if (it != runs_.begin()) {
    Run& before = std::prev(it)->second;
    auto end = before.index + before.length;
    if (index < end) {
      gone.push_back({index, before.cluster + (index - before.index), end - index});
      before.length = index - before.index;
      if (before.length == 0) runs_.erase(std::prev(it));
    }
  }
  for (auto rest = runs_.lower_bound(index); rest != runs_.end(); rest = runs_.erase(rest))
    gone.push_back(rest->second);
  for (const auto& run : gone) count_ -= run.length;
  return gone;
}

std::vector<Run> ClusterMap::runs() const {
  std::vector<Run> out;
  out.reserve(runs_.size());
  for (const auto& [index, run] : runs_) out.push_back(run);
  return out;
}

std::vector<Run> ClusterPool::take(std::uint64_t count) {
  std::vector<Run> out;
  if (count > free_) return out;
  std::uint64_t taken = 0;
  while (taken < count && hint_ < used_.size()) {
    if (used_[hint_]) {
      ++hint_;
      continue;
    }
    used_[hint_] = true;
    if (!out.empty() && out.back().cluster + out.back().length == hint_)
      ++out.back().length;
    else
      out.push_back({taken, hint_, 1});
    ++taken, ++hint_;
  }
  free_ -= taken;
  return out;
}

bool ClusterPool::claim(const Run& run) {
  if (run.cluster < first_ || run.cluster > used_.size() || run.length > used_.size() - run.cluster)
    return false;
  for (std::uint64_t i = 0; i < run.length; ++i)
    if (used_[run.cluster + i]) return false;
  for (std::uint64_t i = 0; i < run.length; ++i) used_[run.cluster + i] = true;
  free_ -= run.length;
  return true;
}

void ClusterPool::give(const Run& run) {
  for (std::uint64_t i = 0; i < run.length; ++i) used_[run.cluster + i] = false;
  free_ += run.length;
  hint_ = std::min(hint_, run.cluster);
}

void ClusterPool::grow(std::uint64_t end) {
  if (end <= used_.size()) return;
  free_ += end - used_.size();
  used_.resize(end, false);
}

}  // namespace vnvme::sim
