#include "call.hpp"

#include "link.hpp"

namespace vnvme::plugin {
namespace {

constexpr const char* kUnavailable = "SR_BACKEND_FAILURE_47";  // SM: "The SR is not available"
constexpr const char* kGeneral = "SR_BACKEND_FAILURE_202";     // SM: "General backend error"
constexpr int kFirstPauseMs = 10, kLastPauseMs = 250;

// Almost every answer fits; the rest gets pages of its own. The second is for the frame after the word.
char g_answer[64 << 10], g_word[8 << 10];

struct Attempt {
  Io io = Io::absent;
  Outcome outcome{Outcome::failed, {}, kUnavailable};
  bool finished = false;
};

class Caller {
 public:
  Caller(const Request& request, Why& why) : request_(request), why_(why) {}
  Outcome run();

 private:
  Attempt attempt();
  Attempt after_result(const Frame& answer);
  void explain(Io io);
  void explain_unreachable(Io io);
  void explain_silence();
  Text& seconds();
  bool make_header();
  int wait_before_next(int pause);

  const Request& request_;
  Why& why_;
  Link link_;
  char id_[36];
  TextBuffer<512> header_;
  std::uint64_t tries_ = 0;
  std::uint64_t lost_ = 0;  // connections that ended without an answer
  bool promised_ = false;   // we said `printing`: the volume may be visible
};

Attempt broken(Io io) {
  Attempt a;
  a.io = io;
  return a;
}

Attempt finished(Outcome::Kind kind, std::string_view body) {
  // An answer that cannot be JSON at all must not be printed as one.
  if (body.empty() || (kind == Outcome::error && body.front() != '{')) return broken(Io::garbage);
  Attempt a;
  a.io = Io::ok;
  a.finished = true;
  a.outcome = Outcome{kind, body, nullptr};
  return a;
}

bool Caller::make_header() {
  header_.clear();
  header_.add("id=").add({id_, sizeof id_}).add("\nmethod=").add(request_.method->name);
  if (!request_.sr_type.empty()) header_.add("\nsr_type=").add(request_.sr_type);
  auto left = static_cast<std::uint32_t>(request_.until.left_ms());
  header_.add("\ndeadline_ms=")
      .add_number(smapi::daemon_deadline_ms(left))
      .add("\nversion=" VNVME_VERSION "\n");
  return !header_.overflow();
}

Attempt Caller::after_result(const Frame& answer) {
  if ((answer.flags & frame::kNeedsWord) == 0) return finished(Outcome::result, answer.body);
  char word[3 + sizeof id_ + 1];
  Text line(word, sizeof word);
  line.add("id=").add({id_, sizeof id_}).add("\n");
  promised_ = true;
  if (auto io = link_.send(frame::Type::printing, line.view(), {}, request_.until); io == Io::late)
    return broken(io);
  Frame reply{};
  if (auto io = link_.receive(reply, g_word, sizeof g_word, request_.until); io != Io::ok) return broken(io);
  if (reply.type == frame::Type::print) return finished(Outcome::result, answer.body);
  if (reply.type == frame::Type::error) return finished(Outcome::error, reply.body);
  return broken(Io::garbage);
}

Attempt Caller::attempt() {
  if (auto io = link_.open(request_.socket); io != Io::ok) return broken(io);
  if (!make_header()) return broken(Io::garbage);
  // A daemon that refuses a request may answer and close before it has read all of it: read on after a broken
  // send.
  if (auto io = link_.send(frame::Type::call, header_.view(), request_.body, request_.until); io == Io::late)
    return broken(io);
  Frame answer{};
  if (auto io = link_.receive(answer, g_answer, sizeof g_answer, request_.until); io != Io::ok)
    return broken(io);
  if (answer.type == frame::Type::error) return finished(Outcome::error, answer.body);
  if (answer.type == frame::Type::result) return after_result(answer);
  return broken(Io::garbage);
}

Outcome Caller::run() {
  if (!make_uuid(id_)) {
    why_.add("the kernel gives no random bytes for a request id (getrandom failed)");
    return {Outcome::failed, {}, kGeneral};
  }
  int pause = kFirstPauseMs;
  for (;;) {
    ++tries_;
    auto a = attempt();
    if (a.finished) return a.outcome;
    link_.shut();
    if (a.io == Io::lost) ++lost_;
    bool again = a.io == Io::absent || a.io == Io::full || a.io == Io::lost;
    if (again) pause = wait_before_next(pause);
    // Nothing is sent any more once the time is over: nobody would hear the answer.
    if (!again || request_.until.left_ms() == 0) {
      explain(a.io);
      return {Outcome::failed, {}, a.io == Io::garbage || a.io == Io::too_large ? kGeneral : kUnavailable};
    }
  }
}

// Longer each time, never beyond the deadline.
int Caller::wait_before_next(int pause) {
  int left = request_.until.left_ms();
  pause_ms(pause < left ? pause : left);
  return pause * 2 < kLastPauseMs ? pause * 2 : kLastPauseMs;
}

Text& Caller::seconds() {
  auto ms = static_cast<std::uint64_t>(now_ms() - request_.started_ms);
  return why_.add_number(ms / 1000).add(".").add_number(ms % 1000 / 100).add(" s");
}

void Caller::explain_unreachable(Io io) {
  why_.add("the vnvme daemon cannot be reached at ").add(request_.socket);
  if (io == Io::lost)
    why_.add(": it closed the connection ").add_number(lost_).add(" times without an answer");
  else if (io == Io::full)
    why_.add(": it takes no more connections now");
  else if (io == Io::denied)
    why_.add(": this process may not connect there, or the path is no socket");
  else
    why_.add(": nobody listens there");
  if (io == Io::denied)
    why_.add(". It must run as root.");
  else {
    why_.add(", tried ").add_number(tries_).add(" times in ");
    seconds().add(". Look at `systemctl status vnvmed.socket vnvmed.service` and `journalctl -u vnvmed`.");
  }
}

void Caller::explain_silence() {
  why_.add("the vnvme daemon at ").add(request_.socket).add(" did not answer within ");
  seconds();
  // The deadline may fall between a connection and its end: then that it was not the first one is the news.
  if (lost_ > 0)
    why_.add(", after it closed the connection ")
        .add_number(lost_)
        .add(" times without an answer. Look at `journalctl -u vnvmed`.");
  else
    why_.add(". `vnvme status` shows what it is waiting for.");
}

void Caller::explain(Io io) {
  why_.add(request_.method->name).add(": ");
  if (io == Io::garbage)
    why_.add("what answers at ")
        .add(request_.socket)
        .add(" does not speak the protocol of vnvme-plugin " VNVME_VERSION
             "; after an update of the package restart it: `systemctl restart vnvmed`.");
  else if (io == Io::too_large)
    why_.add("the answer is larger than the limit of 64 MiB, or than this host's free memory.");
  else if (io == Io::late)
    explain_silence();
  else
    explain_unreachable(io);
  if (promised_) why_.add(" The volume may have been made all the same: `xe sr-scan` shows it.");
}

}  // namespace

Outcome call_daemon(const Request& request, Why& why) {
  return Caller(request, why).run();
}

}  // namespace vnvme::plugin
