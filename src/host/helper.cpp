#include "host/helper.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <cerrno>

#include "core/log.hpp"
#include "host/text_file.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxAbandoned = 16;
constexpr int kReportFd = 3;

struct Report {
  std::int32_t step;   // of the first write that failed
  std::int32_t error;  // 0: all is done
};

// Between fork and _exit only raw system calls: other threads may hold any lock.
void close_all_but_report(int report) {
  if (report != kReportFd) {
    if (::dup2(report, kReportFd) < 0) ::_exit(1);
  } else if (::fcntl(report, F_SETFD, 0) != 0) {
    ::_exit(1);
  }
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, kReportFd + 1, ~0u, 0) == 0) return;
#endif
  // The state file's lock must not live on in a helper that hangs. Kernels before 5.9 lack close_range.
  for (int fd = kReportFd + 1; fd < 65536; ++fd) ::close(fd);
}

int write_one(const char* path, const char* value, std::size_t size) {
  int fd = ::open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
  if (fd < 0) return errno;
  // One write is one command to sysfs: a short one must not be continued.
  ssize_t n = ::write(fd, value, size);
  int bad = n < 0 ? errno : static_cast<std::size_t>(n) == size ? 0 : EIO;
  ::close(fd);
  return bad;
}

[[noreturn]] void child(const std::vector<SysfsWrite>& writes, int report_fd) {
  close_all_but_report(report_fd);
  Report report{0, 0};
  for (const SysfsWrite& one : writes) {
    report.error = write_one(one.path.c_str(), one.value.data(), one.value.size());
    if (report.error == one.accepted_errno) report.error = 0;
    if (report.error) break;
    ++report.step;
  }
  ssize_t n = ::write(kReportFd, &report, sizeof report);
  ::_exit(n == sizeof report ? 0 : 1);
}

Task<Result<Report>> read_report(asio::posix::stream_descriptor& from) {
  Report report{};
  auto [error, size] = co_await asio::async_read(from, asio::buffer(&report, sizeof report),
                                                 asio::as_tuple(asio::use_awaitable));
  if (error || size != sizeof report)
    co_return fail(Errc::io, "the helper process died without a word", Outcome::unknown);
  co_return report;
}

}  // namespace

SysfsHelper::~SysfsHelper() {
  for (const auto& [what, pid] : abandoned_) {
    ::kill(pid, SIGKILL);
    (void)::waitpid(pid, nullptr, WNOHANG);
  }
}

std::size_t SysfsHelper::abandoned() {
  std::erase_if(abandoned_, [](const auto& one) {
    int status = 0;
    pid_t gone = ::waitpid(one.second, &status, WNOHANG);
    return gone == one.second || (gone < 0 && errno == ECHILD);
  });
  return abandoned_.size();
}

Task<Result<void>> SysfsHelper::write(std::string what, std::vector<SysfsWrite> writes, Deadline deadline) {
  if (abandoned() >= kMaxAbandoned || abandoned_.contains(what))
    co_return fail(Errc::busy, what + ": an earlier write to sysfs still hangs; the device may be dead");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) co_return fail(errno_error("make a pipe for", what, errno));
  pid_t pid = ::fork();
  if (pid == 0) child(writes, ends[1]);
  int fork_error = errno;
  ::close(ends[1]);
  auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor report_end(executor, ends[0]);
  if (pid < 0) co_return fail(errno_error("start a helper process for", what, fork_error));

  auto report = co_await with_deadline(read_report(report_end), deadline, "writing to sysfs for " + what);
  if (!report && report.error().code == Errc::timeout) {
    ::kill(pid, SIGKILL);
    abandoned_[what] = pid;
    log::error("a write to sysfs hangs and was abandoned",
               {{"device", what}, {"pid", static_cast<int>(pid)}});
    co_return fail(std::move(report.error()));
  }
  (void)::waitpid(pid, nullptr, 0);  // it reported or died: it is at its end
  if (!report) co_return fail(std::move(report.error()));
  if (report->error == 0) co_return Result<void>{};
  const auto step = static_cast<std::size_t>(report->step);
  const SysfsWrite& failed = writes.at(step < writes.size() ? step : 0);
  co_return fail(errno_error("write \"" + failed.value + "\" to", failed.path, report->error));
}

}  // namespace vnvme::host
