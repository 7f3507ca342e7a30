// vnvme-dpusim: a DPU to try everything without one.
#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>

#include "dpusim/http.hpp"
#include "dpusim/nbd.hpp"
#include "dpusim/options.hpp"
#include "dpusim/server.hpp"

namespace {

using namespace vnvme;
using namespace vnvme::sim;

int complain(const std::string& text) {
  std::fprintf(stderr, "vnvme-dpusim: %s\n", text.c_str());
  return 2;
}

Later make_later(boost::asio::io_context& io) {
  return [&io](std::uint64_t ms, std::function<void()> act) {
    if (ms == 0) return boost::asio::post(io, std::move(act));
    // Shared with its own handler alone, which ends its life.
    auto timer = std::make_shared<Timer>(io);
    timer->expires_after(std::chrono::milliseconds(ms));
    timer->async_wait([timer, act = std::move(act)](boost::system::error_code error) {
      if (!error) act();
    });
  };
}

void say_ready(const std::vector<std::string>& addresses, int fd) {
  std::string line = "ready";
  for (const auto& address : addresses) line += " " + address;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  if (fd < 0) return;
  if (::write(fd, "r", 1) != 1) std::fprintf(stderr, "vnvme-dpusim: --ready-fd %d cannot be written\n", fd);
  ::close(fd);
}

int run(const Options& options) {
  boost::asio::io_context io(1);
  Target target(options.settings, make_later(io));
  Server server(io, target, options.tick_ms);
  NbdServer nbd(io, target, options.settings.nbd);
  if (!options.settings.nbd.empty()) {
    target.nbd_open = [&nbd](Bdev& bdev) { return nbd.open(bdev); };
    target.nbd_close = [&nbd](Bdev& bdev) { nbd.close(bdev); };
  }
  if (auto started = target.start(); !started) return complain(started.error().text);
  for (const auto& address : options.listen)
    if (auto ok = server.listen(address); !ok) return complain(ok.error().text);
  auto addresses = server.addresses();
  HttpServer http(io, target);
  if (!options.http.empty()) {
    auto url = http.listen(options.http, options.auth_file);
    if (!url) return complain(url.error().text);
    addresses.push_back(*url);
  }
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&io](boost::system::error_code error, int) {
    if (!error) io.stop();
  });
  say_ready(addresses, options.ready_fd);
  io.run();
  http.stop();
  server.stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  auto options = parse_options({argv + 1, argv + argc});
  if (!options) return complain(options.error().text);
  if (options->help) {
    std::fputs(help_text().c_str(), stdout);
    return 0;
  }
  return run(*options);
}
