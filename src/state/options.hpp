// How a state file is opened.
#pragma once
#include <string>

#include "vnvme/time.hpp"

namespace vnvme::state {

struct StoreOptions {
  // The state file. "<path>.lock" beside it keeps a second daemon out; SQLite adds "<path>-wal" and
  // "<path>-shm".
  std::string path;
  // The second copy (C5): a complete file, replaced by rename; best on another disk. Empty: none. A copy that
  // belongs to another store (this one was lost and begun anew) is never replaced, it is renamed to
  // "<copy_path>.<id of that store>" first.
  std::string copy_path = {};
  // When `path` is absent or empty, begin with this copy instead of nothing. Snapshot::fresh is then false
  // and the note "store.restored_from" names the copy: what was committed after it was taken is not in it.
  std::string restore_from = {};
  // The second copy is not made more often than this; and never so often that it takes more than 1/20 of the
  // time.
  MonoClock::duration copy_interval = std::chrono::seconds(1);
  // A registered SQLite VFS, for tests. Empty: the system's.
  std::string vfs = {};
};

}  // namespace vnvme::state
