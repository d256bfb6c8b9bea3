llm keys set fullbatch --value KEY
llm models list --query fullbatch
llm --model fullbatch --no-stream "Say hello."
llm --model fullbatch "Say hello."
llm --model fullbatch --functions weather.py --tools-debug "What is the weather in Oslo?"
