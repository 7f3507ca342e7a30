#include "state/memory_store.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace vnvme::state {

Snapshot MemoryStore::contents() const {
  Snapshot s = contents_.snapshot();
  s.fresh = commits_ == 0;
  return s;
}

Result<void> MemoryStore::apply(const std::vector<Change>& changes) {
  if (changes.empty()) return {};
  VNVME_TRY(check_form(changes));
  if (before_commit) VNVME_TRY(before_commit(changes));
  Contents next = contents_;
  VNVME_TRY(next.apply(changes));
  contents_ = std::move(next);
  ++commits_;
  return {};
}

Task<Result<Snapshot>> MemoryStore::load() {
  auto executor = co_await boost::asio::this_coro::executor;
  co_await boost::asio::post(executor, boost::asio::use_awaitable);
  co_return contents();
}

Task<Result<void>> MemoryStore::commit(std::vector<Change> changes) {
  Result<void> result = apply(changes);
  auto executor = co_await boost::asio::this_coro::executor;
  co_await boost::asio::post(executor, boost::asio::use_awaitable);
  co_return result;
}

}  // namespace vnvme::state
