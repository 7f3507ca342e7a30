// Writes into XAPI what people want to see of their drives
// (model/publication.hpp): only what differs, an object at most once a second,
// and ever more rarely when somebody keeps undoing it. Nothing depends on it:
// what could not be written is tried again, and no call waits for it.
#pragma once
#include <map>

#include "model/publication.hpp"
#include "service/toolstack.hpp"

namespace vnvme::service {

class Publisher {
 public:
  Publisher(Core& core, Toolstack& toolstack) : core_(core), toolstack_(toolstack) {}
  // Until Core::stop(). At once when there is no XAPI.
  Task<void> run();
  // One comparison with the picture as it is: true when nothing is left to write.
  Task<bool> round();

 private:
  struct Written {
    xapi::Map wanted;
    bool whole = false;  // it was all written
    unsigned undone = 0;
    MonoClock::time_point last{};
  };
  using Key = std::pair<xapi::Class, std::string>;
  Task<bool> write(model::Publication what);
  Task<Result<void>> write_keys(model::Publication what);

  Core& core_;
  Toolstack& toolstack_;  // after each of its rounds there is something to compare
  std::map<Key, Written> written_;
};

}  // namespace vnvme::service
