// vnvme-plugin: what XAPI runs for each SR.*, Volume.*, Datapath.* and
// Plugin.* call. Exit 0 with exactly one JSON value on stdout, or exit 1 with
// one complete error object (R6), before the call's deadline (R4).
#include <stdlib.h>
#include <unistd.h>

#include "call.hpp"
#include "invocation.hpp"
#include "query.hpp"
#include "system.hpp"
#include "vnvme/smapi_frame.hpp"
#include "words.hpp"

namespace vnvme::plugin {
namespace {

constexpr const char* kBadRequest = "SR_BACKEND_FAILURE_143";  // SM: "Failed to parse the request"
constexpr std::int64_t kDiagnosticsMs = 1000;

// Pages that nobody touches cost nothing.
char g_request[frame::kBodyLimit];
char g_output[32 << 10];

struct Run {
  Invocation call;
  std::int64_t started_ms;
  Until work;  // for everything but the last write
  Until last;
};

// The method's deadline; VNVME_DEADLINE_MS may only shorten it.
std::int64_t deadline_ms(const smapi::MethodFacts& method) {
  std::int64_t ms = std::int64_t{method.seconds} * 1000;
  if (const char* shorter = getenv("VNVME_DEADLINE_MS")) {
    auto wanted = strtol(shorter, nullptr, 10);
    if (wanted > 0 && wanted < ms) ms = wanted;
  }
  return ms;
}

const char* socket_path() {
  const char* path = getenv("VNVME_SMAPI_SOCKET");
  return path != nullptr && *path != '\0' ? path : "/run/vnvme/smapi.sock";
}

int print(const Run& run, std::string_view value) {
  if (!write_all(1, value, run.last)) return 1;
  if (run.call.mode == Mode::words && !write_all(1, "\n", run.last)) return 1;
  return 0;
}

int print_error(const Run& run, std::string_view object) {
  write_all(1, object, run.last);
  // static-vdis keeps stdout to itself when a script fails; a person reads stderr.
  if (run.call.mode == Mode::words) {
    write_all(2, object, run.last);
    write_all(2, "\n", run.last);
  }
  return 1;
}

int print_failure(const Run& run, const char* code, std::string_view text) {
  Text out(g_output, sizeof g_output);
  write_error(out, code, text);
  return print_error(run, out.view());
}

int bad_request(const Run& run, std::string_view why) {
  TextBuffer<512> text;
  text.add(run.call.method->name).add(": ").add(why);
  return print_failure(run, kBadRequest, text.view());
}

Request request_of(const Run& run, std::string_view body, Until until) {
  return Request{run.call.method, run.call.sr_type, body, socket_path(), run.started_ms, until};
}

int answer_query(const Run& run) {
  Text out(g_output, sizeof g_output);
  write_query(out, run.call.sr_type);
  return print(run, out.view());
}

// The daemon's own words are a JSON string already: its inside goes into ours as it is.
int answer_diagnostics(const Run& run) {
  Until until{run.started_ms + kDiagnosticsMs < run.work.at_ms ? run.started_ms + kDiagnosticsMs
                                                               : run.work.at_ms};
  Why why;
  auto outcome = call_daemon(request_of(run, "{}", until), why);
  Text out(g_output, sizeof g_output);
  out.add("\"vnvme-plugin " VNVME_VERSION " at ").add_escaped(socket_path()).add(": ");
  auto body = outcome.body;
  if (outcome.kind == Outcome::result && body.size() >= 2 && body.front() == '"' && body.back() == '"')
    out.add({body.data() + 1, body.size() - 2});
  else if (outcome.kind == Outcome::failed)
    out.add_escaped(why.view());
  else
    out.add("the daemon answers, but knows no Plugin.diagnostics; is it of another version?");
  out.add("\"");
  return print(run, out.view());
}

int answer_call(const Run& run, std::string_view body) {
  Why why;
  auto outcome = call_daemon(request_of(run, body, run.work), why);
  if (outcome.kind == Outcome::result) return print(run, outcome.body);
  if (outcome.kind == Outcome::error) return print_error(run, outcome.body);
  return print_failure(run, outcome.code, why.view());
}

// Reads or builds the request. false: `status` is the exit code.
bool take_request(const Run& run, int argc, char** argv, std::string_view& body, int& status) {
  if (run.call.mode == Mode::words) {
    Text words(g_request, sizeof g_request);
    auto problem = words_to_request(words, run.call, argc, argv);
    body = words.view();
    if (!problem.empty()) status = bad_request(run, problem);
    return problem.empty();
  }
  std::size_t size = 0;
  auto input = read_stdin(g_request, sizeof g_request, size, run.work);
  body = {g_request, size};
  // These need no parameters, and must answer whatever the caller's stdin is.
  if (run.call.method->local || (input == Input::whole && size > 0)) return true;
  if (input == Input::late)
    status = bad_request(run, "stdin did not end before the deadline of the call");
  else if (input == Input::too_large)
    status = bad_request(run, "the request on stdin is larger than the limit of 8 MiB");
  else if (input == Input::broken)
    status = bad_request(run, "stdin cannot be read");
  else
    status = bad_request(run, "nothing came on stdin; one JSON object with the named parameters is wanted");
  return false;
}

int run_method(int argc, char** argv, const Invocation& call) {
  auto now = now_ms();
  auto ms = deadline_ms(*call.method);
  // Some time is kept to print why it failed.
  Run run{call, now, Until{now + ms - (ms / 10 < 250 ? ms / 10 : 250)}, Until{now + ms}};
  std::string_view body;
  int status = 1;
  if (!take_request(run, argc, argv, body, status)) return status;
  if (!call.method->local) return answer_call(run, body);
  return call.method->name[7] == 'Q' ? answer_query(run) : answer_diagnostics(run);
}

int run_without_method(const Invocation& call) {
  constexpr std::int64_t kPrintMs = 2000;
  Run run{call, now_ms(), Until{0}, Until{now_ms() + kPrintMs}};
  Text out(g_output, sizeof g_output);
  if (call.mode == Mode::help) return print(run, kHelp);
  if (call.mode == Mode::version) return print(run, "vnvme-plugin " VNVME_VERSION "\n");
  if (call.mode == Mode::unknown)
    write_unimplemented(out, {call.name.data(), call.name.size() < 128 ? call.name.size() : 128});
  else
    write_error(out, kBadRequest, call.problem);
  return print_error(run, out.view());
}

int run(int argc, char** argv) {
  settle_in();
  auto call = parse_invocation(argc, argv, working_directory_name);
  if (call.mode == Mode::json || call.mode == Mode::words) return run_method(argc, argv, call);
  return run_without_method(call);
}

}  // namespace
}  // namespace vnvme::plugin

// _exit: there is nothing to flush.
int main(int argc, char** argv) {
  _exit(vnvme::plugin::run(argc, argv));
}
