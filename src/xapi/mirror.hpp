// Keeps a Picture in step with event batches. Pure.
//
// XAPI computes a batch as a difference of its database, so it does not come in
// the order of time: creations first, deletions last, each record as it is now.
// The rules here do not depend on order: a record replaces one of an older
// generation only, doubles change nothing, a deletion wins.
#pragma once
#include <vector>

#include "vnvme/xapi.hpp"

namespace vnvme::xapi {

class Mirror {
 public:
  [[nodiscard]] const Picture& picture() const { return picture_; }
  // The batch is the whole database: whatever it lacks is gone. Answers the differences.
  std::vector<Change> replace(EventBatch whole);
  std::vector<Change> fold(EventBatch batch);
  // Empty when XAPI has as many objects of each class as we have; else which class differs. A difference
  // means that a deletion was lost (see EventBatch::counts), or that the database changed while the batch was
  // made.
  [[nodiscard]] std::string disagreement(const std::map<Class, std::uint64_t>& counts) const;

 private:
  using Key = std::pair<Class, Ref>;
  std::optional<Change> put(Event event);
  std::optional<Change> remove(const Key& key);
  Picture picture_;
  std::map<Key, std::int64_t> generations_;
};

}  // namespace vnvme::xapi
