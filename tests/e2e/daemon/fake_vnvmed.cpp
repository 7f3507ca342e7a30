// vnvmed with its own life (command line, sockets, signals) and no storage
// behind it: a volume named "wait-N" takes N ms to create, "hang" never ends,
// "crash" fails. State path ending in "/refuse" makes the start fail.
#include <charconv>

#include "daemon/life.hpp"
#include "unit/daemon/fake_handler.hpp"

namespace vnvme::daemon {
namespace {

class SlowHandler final : public FakeHandler {
 public:
  explicit SlowHandler(boost::asio::any_io_executor executor) : FakeHandler(executor), executor_(executor) {}

  Task<Result<smapi::Volume>> volume_create(smapi::Context c, SrId sr, std::string name,
                                            std::string description, Bytes size, bool sharable) override {
    Timer timer(executor_);
    int ms = 0;
    if (name.starts_with("wait-")) std::from_chars(name.data() + 5, name.data() + name.size(), ms);
    timer.expires_after(name == "hang" ? MonoClock::duration(std::chrono::hours(1))
                                       : std::chrono::milliseconds(ms));
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return co_await FakeHandler::volume_create(std::move(c), std::move(sr), std::move(name),
                                                  std::move(description), size, sharable);
  }

 private:
  boost::asio::any_io_executor executor_;
};

class FakeBackend final : public Backend {
 public:
  FakeBackend(boost::asio::io_context& io, bool refuses) : handler_(io.get_executor()), refuses_(refuses) {}
  Task<Result<void>> start() override {
    if (refuses_) co_return fail(Errc::corrupt, "the state file is damaged");
    co_return Result<void>{};
  }
  Task<void> stop(Deadline) override { co_return; }
  smapi::Handler& handler() override { return handler_; }
  AdminHandler& admin() override { return handler_; }

 private:
  SlowHandler handler_;
  bool refuses_;
};

}  // namespace
}  // namespace vnvme::daemon

int main(int argc, char** argv) {
  using namespace vnvme::daemon;
  return run_daemon(argc, argv,
                    [](boost::asio::io_context& io, const Config& config,
                       vnvme::EventLog&) -> vnvme::Result<std::unique_ptr<Backend>> {
                      return std::make_unique<FakeBackend>(io, config.state_path.ends_with("/refuse"));
                    });
}
