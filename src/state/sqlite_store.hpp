// The durable store: SQLite behind one worker thread.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "state/options.hpp"
#include "vnvme/store.hpp"

namespace vnvme::state {

// Opens, checks and migrates the state file; blocks while it does so (start-up). Errors: `busy` when another
// daemon has it, `corrupt` when it cannot be trusted, `not_supported` when a later version wrote it, `io`
// else. The executor must outlive the store. Destroying the store finishes what was committed, makes the last
// second copy, and blocks for that; answers not yet delivered are still delivered if the executor runs on.
Result<std::unique_ptr<Store>> open_sqlite_store(boost::asio::any_io_executor executor, StoreOptions options);

}  // namespace vnvme::state
