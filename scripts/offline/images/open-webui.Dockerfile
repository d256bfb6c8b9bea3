# Stands in for openwebui/open-webui:v0.12.4: no chat, but its folder and start script, and a server that asks as it asks.
# The program itself is 2.4 GB; tests/e2e/test_chat.py tries it as a process.
FROM fullbatch-offline/debian:bookworm
COPY --from=files open-webui-stand-in /app/backend/stand_in.py
RUN printf 'exec python3 /app/backend/stand_in.py\n' > /app/backend/start.sh
WORKDIR /app/backend
CMD ["bash", "start.sh"]
