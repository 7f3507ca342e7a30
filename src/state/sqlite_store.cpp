#include "state/sqlite_store.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <mutex>

#include "core/log.hpp"
#include "state/contents.hpp"
#include "state/database.hpp"

namespace vnvme::state {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxQueued = 4096;  // commits that wait for the disk
constexpr std::size_t kMaxGroup = 64;     // commits that share one fsync

// Somebody who waits for a T on an executor of his own.
template <class T>
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void finish(T value) = 0;
};

template <class T, class Handler>
class HandlerWaiter final : public Waiter<T> {
 public:
  HandlerWaiter(Handler handler, const asio::any_io_executor& fallback)
      : handler_(std::move(handler)), work_(asio::get_associated_executor(handler_, fallback)) {}
  void finish(T value) override {
    auto executor = work_.get_executor();
    asio::post(executor, [handler = std::move(handler_), value = std::move(value)]() mutable {
      handler(std::move(value));
    });
    work_.reset();
  }

 private:
  Handler handler_;
  // The caller's loop must not end while the disk works for it.
  asio::executor_work_guard<asio::associated_executor_t<Handler, asio::any_io_executor>> work_;
};

struct Queued {
  std::vector<Change> changes;
  std::unique_ptr<Waiter<Result<void>>> waiter;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(asio::any_io_executor executor, StoreOptions options, std::unique_ptr<Database> database)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        database_(std::move(database)),
        timer_(pool_) {}
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  ~SqliteStore() override {
    asio::post(pool_, [this] { timer_.cancel(), closing_ = true; });
    pool_.join();
    drain();
    copy();
  }

  Task<Result<Snapshot>> load() override {
    auto begin = [this](auto handler) {
      // std::function cannot hold what is only movable, hence one pointer that passes through the pool.
      auto waiter = wait<Result<Snapshot>>(std::move(handler));
      asio::post(pool_, [this, waiter = std::move(waiter)] { waiter->finish(database_->load()); });
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Result<Snapshot>)>(
        begin, asio::use_awaitable);
  }

  Task<Result<void>> commit(std::vector<Change> changes) override {
    if (changes.empty()) co_return Result<void>{};
    Result<void> form = check_form(changes);
    if (!form) co_return form;
    if (!room())
      co_return fail(Errc::busy, "state file " + options_.path + ": too many commits wait for the disk");
    auto begin = [this, &changes](auto handler) {
      enqueue({std::move(changes), wait<Result<void>>(std::move(handler))});
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Result<void>)>(
        begin, asio::use_awaitable);
  }

 private:
  template <class T, class Handler>
  std::unique_ptr<Waiter<T>> wait(Handler handler) {
    return std::make_unique<HandlerWaiter<T, Handler>>(std::move(handler), executor_);
  }

  bool room() {
    std::lock_guard guard(mutex_);
    return queue_.size() < kMaxQueued;
  }

  void enqueue(Queued one) {
    bool wake;
    {
      std::lock_guard guard(mutex_);
      wake = queue_.empty();
      queue_.push_back(std::move(one));
    }
    if (wake) asio::post(pool_, [this] { drain(); });
  }

  std::vector<Queued> next_group() {
    std::lock_guard guard(mutex_);
    std::vector<Queued> group;
    while (!queue_.empty() && group.size() < kMaxGroup) {
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    return group;
  }

  // On the worker. Commits that came while the disk was busy share the next fsync.
  void drain() {
    for (auto group = next_group(); !group.empty(); group = next_group()) {
      std::vector<const std::vector<Change>*> changes;
      changes.reserve(group.size());
      for (const Queued& one : group) changes.push_back(&one.changes);
      auto answers = database_->commit(changes);
      for (std::size_t i = 0; i < group.size(); ++i) group[i].waiter->finish(std::move(answers[i]));
      schedule_copy();
    }
  }

  void schedule_copy() {
    if (options_.copy_path.empty() || copy_scheduled_ || closing_ || !database_->copy_due()) return;
    copy_scheduled_ = true;
    auto now = std::chrono::steady_clock::now();
    timer_.expires_at(std::max(now, next_copy_));
    timer_.async_wait([this](boost::system::error_code error) {
      copy_scheduled_ = false;
      if (!error) copy();
    });
  }

  void copy() {
    if (options_.copy_path.empty() || !database_->copy_due()) return;
    auto begin = std::chrono::steady_clock::now();
    Result<void> done = database_->copy();
    auto end = std::chrono::steady_clock::now();
    next_copy_ = end + std::max<std::chrono::nanoseconds>(options_.copy_interval, 20 * (end - begin));
    if (done.has_value() == copy_works_) return;
    copy_works_ = done.has_value();
    // Once when it begins and once when it ends, not once a second.
    if (copy_works_)
      log::info("the second copy of the state file works again", {{"path", options_.copy_path}});
    else
      log::error("the second copy of the state file cannot be written", {{"why", done.error().describe()}});
  }

  asio::any_io_executor executor_;
  StoreOptions options_;
  std::unique_ptr<Database> database_;  // touched by the worker only, once it runs
  std::mutex mutex_;                    // guards queue_
  std::deque<Queued> queue_;
  bool copy_scheduled_ = false, closing_ = false, copy_works_ = true;  // worker only
  std::chrono::steady_clock::time_point next_copy_{};                  // worker only
  asio::thread_pool pool_{1};
  asio::steady_timer timer_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(asio::any_io_executor executor, StoreOptions options) {
  auto database = Database::open(options);
  if (!database) return fail(std::move(database.error()));
  return std::make_unique<SqliteStore>(std::move(executor), std::move(options), std::move(*database));
}

}  // namespace vnvme::state
