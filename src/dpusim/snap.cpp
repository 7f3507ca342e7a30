#include "dpusim/snap.hpp"

#include "dpusim/target.hpp"

namespace vnvme::sim {

void Snap::add_methods() {}
Result<void> Snap::start() {
  return {};
}
void Snap::forget(const Bdev&) {}
Json Snap::dump() const {
  return Json::object();
}

}  // namespace vnvme::sim
