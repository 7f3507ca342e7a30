// Follows XAPI's database by event.from. A token's life ends with the session
// that it came from, with EVENTS_LOST, with any answer that did not come, and
// with a count that does not fit: then the whole database is read again and
// compared with what was known. No threads, no queue: XAPI itself joins the
// changes while nobody asks.
#pragma once
#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "rpc/session.hpp"
#include "vnvme/xapi.hpp"
#include "xapi/mirror.hpp"

namespace vnvme::xapi {

class Watcher final : public Watch {
 public:
  struct Options {
    std::vector<Class> classes{Class::vm,  Class::vbd,  Class::vdi, Class::sr,
                               Class::pbd, Class::host, Class::pool};
    MonoClock::duration wait = std::chrono::seconds(30);     // in XAPI, for one event.from
    MonoClock::duration answer = std::chrono::seconds(30);   // what its answer may take beyond that
    MonoClock::duration refresh = std::chrono::minutes(10);  // read all again: nobody promises that a change
                                                             // of a record is never lost
    MonoClock::duration breath = std::chrono::milliseconds(100);  // at least between two answers without news
    MonoClock::duration margin = std::chrono::seconds(1);  // less than that before the deadline: not asked
    rpc::Backoff::Options backoff{std::chrono::milliseconds(100), std::chrono::seconds(10), 1};
  };
  // Both outlive this object.
  Watcher(boost::asio::io_context& io, Xapi& xapi, Options options);

  Task<Result<Delta>> next(Deadline deadline) override;
  [[nodiscard]] const Picture& picture() const override { return mirror_.picture(); }
  [[nodiscard]] bool current() const override { return !cursor_.empty(); }
  // Times that the whole database was read.
  [[nodiscard]] std::uint64_t readings() const { return readings_; }

 private:
  Task<Result<EventBatch>> ask(bool whole, MonoClock::duration wait, Deadline deadline);
  Task<Result<void>> read_all(Delta& delta, Deadline deadline);
  Task<Result<void>> follow(Delta& delta, Deadline deadline);
  Task<Result<void>> confirm(Delta& delta, EventBatch batch, Deadline deadline);
  Task<bool> rest(MonoClock::duration time, Deadline deadline);
  void doubt(const std::string& why);

  boost::asio::io_context& io_;
  Xapi& xapi_;
  Options options_;
  Mirror mirror_;
  Cursor cursor_;
  rpc::Backoff backoff_;
  MonoClock::time_point refresh_at_{};
  std::uint64_t readings_ = 0;
  MonoClock::time_point retry_at_{};  // not before, after a failure
};

}  // namespace vnvme::xapi
